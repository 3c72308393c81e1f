"""What a plugin declares: its name, its entrypoints, and what it needs."""

from __future__ import annotations

import inspect
import json
import typing
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, Optional, Sequence, Union

from ._payload import Reader, reader
from ._time import Seconds, millis

#: How many jobs an instance runs, unless an entrypoint says otherwise. Starting Python takes a hundred times longer
#: than a short job, so it is not done for each.
REUSE = 1000

Schedule = Union[str, "tuple[str, str]"]
_declared: dict[str, Any] = {}
_entrypoints: dict[str, "Entrypoint"] = {}


@dataclass
class Entrypoint:
    """A name, its function and its options."""

    name: str
    function: Callable[..., Any]
    options: dict[str, Any]
    max_jobs: Optional[int] = None

    def reader(self) -> Optional[Reader]:
        """What reads the second argument, if there is one. Its type is looked up once all of the module is there."""
        if self.max_jobs is not None:
            return None
        if not hasattr(self, "_reader"):
            names = list(inspect.signature(self.function).parameters)
            hints = typing.get_type_hints(self.function)
            self._reader = reader(hints.get(names[1], Any)) if len(names) > 1 else None
        return self._reader


def plugin(
    name: str,
    version: str = "0.0.0",
    *,
    http: Iterable[str] = (),
    config: Iterable[str] = (),
    secret: Iterable[str] = (),
    env: Iterable[str] = (),
    directory: Iterable[str] = (),
    enqueue: Iterable[str] = (),
    sql: Iterable[str] = (),
) -> None:
    """Name the plugin and what it needs. The operator grants that or does not (`pgq-host.toml`).

    `http` has origins (`https://api.example.com`), `enqueue` entrypoints, and `sql` says what the database is for.
    """
    needs = dict(http=http, config=config, secret=secret, env=env, directory=directory, enqueue=enqueue, sql=sql)
    texts = {kind: [whole] if isinstance(whole, str) else list(whole) for kind, whole in needs.items()}
    _declared.update(name=name, version=version, needs={kind: some for kind, some in texts.items() if some})


def entrypoint(
    name: str,
    *,
    max_attempts: Optional[int] = None,
    backoff: Optional[tuple[Seconds, float, Seconds]] = None,
    timeout: Optional[Seconds] = None,
    memory: Optional[int] = None,
    concurrency: Optional[int] = None,
    reuse: int = REUSE,
    on_failure: Optional[str] = None,
    schedule: Union[Schedule, Sequence[Schedule]] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Serve jobs of this name with the function below: `def handler(job)` or `def handler(job, payload: Type)`.

    Times are seconds. `backoff` is (first wait, factor, longest wait). `on_failure` is "hold" or "delete". A schedule is
    a cron expression, or a pair of it and a time zone. What is not set has the host's default; only `reuse` has the
    SDK's: an instance, with all that is in its modules, runs up to that many jobs. 1 is a new one for each.
    """
    options = _options(max_attempts, backoff, timeout, memory, concurrency, reuse, on_failure, schedule)
    return lambda function: _add(Entrypoint(name, function, options))


def batch(name: str, max_jobs: int, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Serve up to so many jobs of this name in one call: `def handler(jobs: list[Job])` returns a list, one item for each.

    An item is an output, or one of `Retry`, `Reject`, `Snooze` and `Discard` (or any other exception, for a retry).
    The options are those of `entrypoint`.
    """
    known = dict.fromkeys(("max_attempts", "backoff", "timeout", "memory", "concurrency", "on_failure")) | dict(reuse=REUSE, schedule=())
    unknown = set(options) - set(known)
    if unknown:
        raise TypeError(f"{sorted(unknown)[0]!r} is no option of an entrypoint; there are {', '.join(sorted(known))}")
    declared = _options(**(known | options)) | {"batch": max_jobs}
    return lambda function: _add(Entrypoint(name, function, declared, max_jobs))


def _add(added: Entrypoint) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(added.function) or inspect.isgeneratorfunction(added.function):
        raise TypeError(f"the handler of {added.name!r} has to be a plain function: there is nothing to wait for within a job")
    if added.name in _entrypoints:
        raise ValueError(f"the entrypoint {added.name!r} has two handlers")
    _entrypoints[added.name] = added
    return added.function


def _options(max_attempts: Any, backoff: Any, timeout: Any, memory: Any, concurrency: Any, reuse: Any, on_failure: Any, schedule: Any) -> dict[str, Any]:
    schedules = [schedule] if isinstance(schedule, str) or _is_pair(schedule) else list(schedule)
    options = {
        "max-attempts": max_attempts,
        "backoff": backoff and {"initial-ms": millis(backoff[0]), "multiplier": backoff[1], "max-ms": millis(backoff[2])},
        "timeout-ms": None if timeout is None else millis(timeout),
        "memory": memory,
        "concurrency": concurrency,
        "reuse": reuse,
        "on-failure": on_failure,
        "schedules": [dict(zip(("expression", "time-zone"), (one,) if isinstance(one, str) else one)) for one in schedules] or None,
    }
    return {name: value for name, value in options.items() if value is not None}


def _is_pair(schedule: Any) -> bool:
    return isinstance(schedule, tuple) and len(schedule) == 2 and "/" in str(schedule[1]) and " " not in str(schedule[1])


def declarations() -> Iterator[str]:
    """The texts that the host reads: one for the plugin and one for each entrypoint, because a text has a largest size."""
    yield json.dumps(_declared)
    for one in _entrypoints.values():
        yield json.dumps({"entrypoints": [{"name": one.name, **one.options}]})


def find(name: str) -> Optional[Entrypoint]:
    """The entrypoint of this name."""
    return _entrypoints.get(name)


def every() -> Iterable[Entrypoint]:
    """All entrypoints, in their order."""
    return _entrypoints.values()
