"""Runs handlers and turns what becomes of them into what the queue does next. Knows no host."""

from __future__ import annotations

import linecache
import os
import re
import sys
import traceback
import types
from dataclasses import dataclass
from typing import Any, Optional

from . import _plugin
from ._job import Job
from ._outcome import Discard, Ending, Reject, Retry, Snooze
from ._payload import encode

_OURS = os.path.dirname(__file__)


@dataclass
class Ended:
    """How a run ended: complete, snooze, discard, retry or reject."""

    how: str
    output: Optional[bytes] = None
    #: Milliseconds until it runs again, where the handler said so.
    after_ms: Optional[int] = None
    #: The exception's type, message and traceback. Discard and Reject have a message only.
    kind: str = ""
    message: str = ""
    traceback: str = ""


def run(source: Any) -> Ended:
    """Run the handler of this job."""
    try:
        job = Job(source)
        entrypoint = _plugin.find(job.entrypoint)
        if entrypoint is None:
            raise Reject(f"the plugin does not serve the entrypoint {job.entrypoint!r}")
        read = entrypoint.reader()
        return _ended(entrypoint.function(job) if read is None else entrypoint.function(job, read(job)))
    except BaseException as error:  # Also SystemExit: there is no process that could end.
        return _failed(error)


def run_batch(sources: list[Any]) -> list[Ended]:
    """Run the handler of these jobs, all of one entrypoint. An exception fails each of them."""
    try:
        jobs = [Job(source) for source in sources]
        entrypoint = _plugin.find(jobs[0].entrypoint)
        if entrypoint is None:
            raise Reject(f"the plugin does not serve the entrypoint {jobs[0].entrypoint!r}")
        values = list(entrypoint.function(jobs))
        if len(values) != len(jobs):
            raise ValueError(f"the handler of {entrypoint.name!r} returned {len(values)} results for {len(jobs)} jobs")
    except BaseException as error:
        return [_failed(error)] * len(sources)
    return [_one_of(value) for value in values]


def _one_of(value: Any) -> Ended:
    try:
        return _ended(value)
    except BaseException as error:
        return _failed(error)


def _ended(value: Any) -> Ended:
    if isinstance(value, BaseException):
        return _failed(value)
    return Ended("complete", encode(value, "the output"))


def _failed(error: BaseException) -> Ended:
    if isinstance(error, Snooze):
        return Ended("snooze", after_ms=error.after_ms)
    if isinstance(error, Discard):
        return Ended("discard", message=str(error))
    if isinstance(error, Reject):
        return Ended("reject", message=str(error))
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "pgq._outcome") else f"{kind.__module__}.{kind.__qualname__}"
    after = error.after_ms if isinstance(error, Retry) else None
    # A decision to retry was made on purpose: where, matters only if it came of something else.
    told = "" if isinstance(error, Ending) and error.__cause__ is None else _traceback(error)
    return Ended("retry", after_ms=after, kind=name, message=str(error), traceback=told)


def _traceback(error: BaseException) -> str:
    """As Python prints it, without the frames of this package above the handler's own."""
    try:
        tell = traceback.TracebackException.from_exception(error, capture_locals=False)
        ours = 0
        for frame in tell.stack:
            if os.path.dirname(frame.filename) != _OURS:
                break
            ours += 1
        del tell.stack[:ours]
        _shorten(tell)
        return "".join(tell.format())
    except Exception as failure:  # An exception whose text cannot be made is still an exception.
        return f"{type(error).__name__}, and its traceback cannot be printed: {type(failure).__name__}"


def _shorten(tell: traceback.TracebackException) -> None:
    """Name files as their author does: in a component, the folder of the n-th `-p` is `/n`."""
    for frame in tell.stack:
        frame.filename = re.sub(r"^/\d+/", "", frame.filename)
    for other in (tell.__cause__, tell.__context__, *(getattr(tell, "exceptions", None) or ())):
        if other is not None:
            _shorten(other)


def keep_sources() -> None:
    """Read the source lines of all modules outside of the standard library now: a running component has no files."""
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if not isinstance(module, types.ModuleType) or not path or not path.endswith(".py") or path.startswith(sys.prefix + "/"):
            continue
        lines = linecache.getlines(path)
        # Without a time of change, the lines are not thrown away when the file is not found.
        linecache.cache[path] = (sum(map(len, lines)), None, lines, path)
