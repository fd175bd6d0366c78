"""AWS Lambda: functions, versions, aliases, layers, permissions, concurrency, and Invoke in its types, streamed too.

Real: everything about zip packages; container images of our own ECR and of registries that the operator names;
synchronous, asynchronous, streamed and dry invocations; alias weights; reserved and provisioned concurrency;
dead-letter queues; functions, queues and buckets as destinations; durable functions (see `durable`); function URLs;
loops of functions, found by the trace header; code signing as far as it goes without signatures (see `code_signing`).
Stored: tracing mode; how runtimes are updated; SnapStart of Java and .NET; the ids of a VPC, which costs the function
its way to the internet. Refused by name: file systems, KMS keys, topics and event buses as destinations, sources of
mappings other than queues (see `mappings`), capacity providers, tags of layers.
"""

from __future__ import annotations

from dataclasses import dataclass

from pilotlight.identity.authorise import Policies
from pilotlight.services.awslambda import store
from pilotlight.services.awslambda.asynchronous import Asynchronous
from pilotlight.services.awslambda.code_signing import CodeSigningConfigs
from pilotlight.services.awslambda.concurrency import Concurrency, ProvisionedConcurrency
from pilotlight.services.awslambda.durable.operations import DurableExecutions
from pilotlight.services.awslambda.durable.runner import Runner
from pilotlight.services.awslambda.event_invoke import EventInvokeConfigs
from pilotlight.services.awslambda.functions import Functions
from pilotlight.services.awslambda.guard import LambdaGuard
from pilotlight.services.awslambda.images import Pulls
from pilotlight.services.awslambda.invocations import Invocations
from pilotlight.services.awslambda.layers import Layers
from pilotlight.services.awslambda.mappings.operations import EventSourceMappings
from pilotlight.services.awslambda.mappings.running import MappedFunctions
from pilotlight.services.awslambda.permissions import Permissions
from pilotlight.services.awslambda.provisioning import Provisioning
from pilotlight.services.awslambda.recursion import RecursionConfigs
from pilotlight.services.awslambda.resolver import Resolver
from pilotlight.services.awslambda.resource_policies import ResourcePolicies
from pilotlight.services.awslambda.runtime_management import RuntimeManagement
from pilotlight.services.awslambda.surroundings import Surroundings
from pilotlight.services.awslambda.tags import Tags
from pilotlight.services.awslambda.url_data_plane import Admit, UrlDataPlane
from pilotlight.services.awslambda.urls import FunctionUrls
from pilotlight.services.awslambda.versions import Aliases, Versions
from pilotlight.services.contract import Service


@dataclass(frozen=True, slots=True)
class LambdaParts:
    service: Service
    asynchronous: Asynchronous
    """For `delivery`: the other half of asynchronous invocations."""
    provisioning: Provisioning
    """For a Reconciler, which `Surroundings.wake_provisioning` wakes."""
    durable: Runner
    """For a Reconciler, which `Surroundings.wake_durable` wakes."""
    pulls: Pulls
    """For a Reconciler, which `Surroundings.wake_pulls` wakes."""
    mapped: MappedFunctions
    """For `event_sources`: functions that read from queues."""
    resolver: Resolver
    surroundings: Surroundings

    def url_data_plane(self, policies: Policies, admit: Admit) -> UrlDataPlane:
        """For the gateway: what answers at function URLs."""
        return UrlDataPlane(self.surroundings, self.resolver, self.durable, policies, admit)

    async def runtimes_in_use(self) -> set[str]:
        """For the report at start-up, which tells what this machine has not."""
        return await self.surroundings.database.scan(store.runtimes_in_use)


def make_service(parts: Surroundings) -> LambdaParts:
    resolver = Resolver(
        parts.database,
        parts.packages,
        parts.images,
        account_concurrency=parts.account_concurrency,
        monotonic=parts.clock.monotonic,
    )
    durable = Runner(parts, resolver)
    nouns = (
        Functions(parts, resolver),
        Versions(parts, resolver),
        Aliases(parts, resolver),
        Layers(parts),
        Permissions(parts),
        Concurrency(parts, resolver),
        ProvisionedConcurrency(parts, resolver),
        EventInvokeConfigs(parts, resolver),
        Tags(parts),
        RuntimeManagement(parts),
        Invocations(parts, resolver, durable),
        DurableExecutions(parts, durable),
        FunctionUrls(parts),
        RecursionConfigs(parts, resolver),
        CodeSigningConfigs(parts),
        ResourcePolicies(parts),
        EventSourceMappings(parts),
    )
    service = Service(name="lambda", nouns=nouns, guard=LambdaGuard(parts.database))
    pulls = Pulls(parts, resolver.forget)
    mapped = MappedFunctions(parts, resolver)
    return LambdaParts(
        service, Asynchronous(parts, resolver), Provisioning(parts), durable, pulls, mapped, resolver, parts
    )
