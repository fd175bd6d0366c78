"""What a function imports to be called around its snapshot: SnapStart's hooks, as Lambda provides them.

Before the snapshot the last registered is called first; after the restore, the first.
"""

__all__ = ["register_after_restore", "register_before_snapshot"]

_before = []
_after = []


def register_before_snapshot(func, *args, **kwargs):
    """Call `func` at the end of init. A decorator, too."""
    _before.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    """Call `func` before the first invocation after the restore. A decorator, too."""
    _after.append((func, args, kwargs))
    return func


def get_before_snapshot():
    return _before


def get_after_restore():
    return _after
