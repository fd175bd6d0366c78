package com.amazonaws.services.lambda.crac;

import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * What `org.crac.Core` finds on Lambda: hooks before a snapshot run in the reverse order of registration, those after a
 * restore in its order. AWS: a resource that nobody else holds is forgotten.
 */
public final class Core {
    private static final Context<Resource> GLOBAL = new Registered();

    private Core() {
    }

    public static Context<Resource> getGlobalContext() {
        return GLOBAL;
    }

    public static void checkpointRestore() {
        throw new UnsupportedOperationException();
    }

    private static final class Registered extends Context<Resource> {
        private final List<WeakReference<Resource>> all = new ArrayList<>();

        @Override
        public synchronized void register(Resource resource) {
            all.add(new WeakReference<>(resource));
        }

        private synchronized List<Resource> held() {
            List<Resource> found = new ArrayList<>();
            for (WeakReference<Resource> one : all) {
                Resource resource = one.get();
                if (resource != null) {
                    found.add(resource);
                }
            }
            return found;
        }

        @Override
        public void beforeCheckpoint(Context<? extends Resource> context) throws CheckpointException {
            List<Throwable> thrown = new ArrayList<>();
            List<Resource> resources = held();
            Collections.reverse(resources);
            for (Resource resource : resources) {
                try {
                    resource.beforeCheckpoint(this);
                } catch (CheckpointException error) {
                    Collections.addAll(thrown, error.getSuppressed());
                } catch (Exception error) {
                    thrown.add(error);
                }
            }
            if (!thrown.isEmpty()) {
                CheckpointException told = new CheckpointException();
                thrown.forEach(told::addSuppressed);
                throw told;
            }
            System.gc();
        }

        @Override
        public void afterRestore(Context<? extends Resource> context) throws RestoreException {
            List<Throwable> thrown = new ArrayList<>();
            for (Resource resource : held()) {
                try {
                    resource.afterRestore(this);
                } catch (RestoreException error) {
                    Collections.addAll(thrown, error.getSuppressed());
                } catch (Exception error) {
                    thrown.add(error);
                }
            }
            if (!thrown.isEmpty()) {
                RestoreException told = new RestoreException();
                thrown.forEach(told::addSuppressed);
                throw told;
            }
        }
    }
}
