"""Where calls of the SDK go: to the host in a component, to a recording in a test."""

from __future__ import annotations

from typing import Any

_current: Any = None


def current() -> Any:
    """Whoever answers now."""
    if _current is None:
        raise RuntimeError("no job is running: the host runs handlers, and pgq.testing.run does in a test")
    return _current


def use(host: Any) -> Any:
    """Have this one answer from now on. Returns the one before."""
    global _current
    before, _current = _current, host
    return before
