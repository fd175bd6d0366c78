"""Stands in a function's copy where its handler stood: imports it, and tells what an invocation spends its time on.

Runs on every Python that functions may have. Events: `{"probe": "idle"}` calls nothing; `{"probe": "run", "event": …}`
calls the handler twice, once timed and once under the profiler.
"""

from __future__ import annotations

import cProfile
import importlib
import os
import pstats
import sys
import time
import traceback

ROOT = os.environ.get("LAMBDA_TASK_ROOT", "/var/task")
MADE = []
"""Clients made since the last look: what, how long, where."""
UNDER_WAY = False


def _watch_sdk():
    """Time what makes clients: that is what handlers do again and again for nothing."""
    try:
        import boto3.session
    except ImportError:
        return
    for name in ("client", "resource"):
        _replace(boto3.session.Session, name)


def _replace(owner, name):
    original = getattr(owner, name)

    def timed(self, *arguments, **options):
        global UNDER_WAY
        if UNDER_WAY:
            return original(self, *arguments, **options)
        UNDER_WAY = True
        began = time.perf_counter()
        try:
            return original(self, *arguments, **options)
        finally:
            UNDER_WAY = False
            service = arguments[0] if arguments else options.get("service_name", "")
            spent = (time.perf_counter() - began) * 1000
            MADE.append({"call": "boto3.%s(%r)" % (name, service), "ms": spent, "at": _caller()})

    setattr(owner, name, timed)


def _caller():
    """The nearest line of the function's own code."""
    for frame in reversed(traceback.extract_stack()):
        if frame.filename.startswith(ROOT) and not frame.filename.endswith("pilotlight_probe.py"):
            return "%s:%d" % (os.path.relpath(frame.filename, ROOT), frame.lineno)
    return ""


TRACED = "PYTHONPROFILEIMPORTTIME" in os.environ
"""Then the interpreter writes each import to standard error, and what stands between the marks is the function's."""


def _mark(what):
    if TRACED:
        os.write(2, b"PILOTLIGHT_IMPORTS " + what + b"\n")


if not TRACED:
    _watch_sdk()
_mark(b"begin")
_began = time.perf_counter()
_module, _, _name = os.environ["PILOTLIGHT_PROBE_HANDLER"].rpartition(".")
_target = getattr(importlib.import_module(_module.replace("/", ".")), _name)
IMPORT_MS = (time.perf_counter() - _began) * 1000
_mark(b"end")
MADE_AT_INIT = list(MADE)


def handler(event, context):
    if event.get("probe") != "run":
        return {"import_ms": IMPORT_MS, "made_at_init": MADE_AT_INIT, "modules": len(sys.modules)}
    del MADE[:]
    began = time.perf_counter()
    failure = _call(event.get("event"), context)
    duration = (time.perf_counter() - began) * 1000
    made = list(MADE)
    profile = cProfile.Profile()
    if not failure:
        profile.enable()
        _call(event.get("event"), context)
        profile.disable()
    return {"duration_ms": duration, "failure": failure, "made": made, "top": _top(profile)}


def _call(event, context):
    try:
        _target(event, context)
    except BaseException as error:
        return "%s: %s" % (type(error).__name__, error)
    return ""


def _top(profile):
    """The functions with most time in themselves."""
    try:
        stats = pstats.Stats(profile).stats
    except TypeError:
        return []
    rows = []
    for (path, line, name), (_, calls, own, total, _callers) in stats.items():
        where = os.path.relpath(path, ROOT) if path.startswith(ROOT) else path
        rows.append(
            {
                "function": name,
                "at": "%s:%d" % (where, line) if line else "",
                "calls": calls,
                "own_ms": own * 1000,
                "total_ms": total * 1000,
            }
        )
    return sorted(rows, key=lambda row: -row["own_ms"])[:8]
