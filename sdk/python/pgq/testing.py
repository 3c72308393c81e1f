"""Run handlers in a unit test: without a host, a database or a component.

::

    from pgq.testing import run
    import handlers

    def test_greets():
        ended = run("greet", json={"name": "Ada"})
        assert ended.output == b"Hello, Ada!"
        assert ended.logs[0].message == "greeting Ada"

`ended.how` is complete, snooze, discard, retry or reject; `ended.enqueued` has the follow-up jobs.
"""

from __future__ import annotations

import json as _json
import logging
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Callable, Iterable, Mapping, Optional, Sequence, Union

from . import _host, _logs, _plugin, _run
from ._enqueue import Enqueued
from ._job import Directive
from ._values import from_value
from .http import Response

__all__ = ["LogLine", "Run", "response", "run", "run_batch"]

#: Answers a statement: its text and parameters in, the rows (or their number) out.
Sql = Callable[..., Union[int, Iterable[tuple[Any, ...]]]]
#: Answers a request: method, URL, headers and body in, a `response` out.
Http = Callable[[str, str, dict[str, str], Optional[bytes]], Response]


@dataclass
class LogLine:
    level: str
    message: str
    fields: dict[str, str]


@dataclass
class Run(_run.Ended):
    """How the run ended, what it logged, and what the host would enqueue: nothing, unless it completed."""

    logs: list[LogLine] = field(default_factory=list)
    enqueued: list[Enqueued] = field(default_factory=list)

    def json(self) -> Any:
        """The output as JSON."""
        return _json.loads(self.output or b"")


def response(status: int = 200, body: Union[bytes, str] = b"", headers: Mapping[str, str] = {}) -> Response:
    """An answer for a handler under test."""
    return Response(status, list(headers.items()), body.encode() if isinstance(body, str) else body)


def run(
    entrypoint: str,
    payload: Union[bytes, str, None] = None,
    *,
    json: Any = None,
    headers: Optional[Mapping[str, str]] = None,
    id: int = 1,
    attempt: int = 1,
    max_attempts: Optional[int] = None,
    priority: int = 0,
    created_ms: int = 1_767_225_600_000,
    time_left: float = 60,
    directive: Directive = Directive.PROCEED,
    sql: Optional[Sql] = None,
    http: Optional[Http] = None,
) -> Run:
    """Run a job of this entrypoint as the host would.

    `sql` answers statements (savepoints come as `SAVEPOINT`, `RELEASE` and `ROLLBACK`), `http` answers requests. One that
    takes batches gets a batch of one.
    """
    found = _plugin.find(entrypoint)
    most = max_attempts or (found.options.get("max-attempts") if found else None) or 25
    data = _json.dumps(json).encode() if json is not None else payload.encode() if isinstance(payload, str) else payload
    job = _Source(SimpleNamespace(id=id, entrypoint=entrypoint, attempt=attempt, max_attempts=most, priority=priority, created=created_ms), data, dict(headers or {}), time_left, directive)
    recording = _Recording(sql, http)
    batch = found is not None and found.max_jobs is not None
    ended = recording.during(lambda: _run.run_batch([job])[0] if batch else _run.run(job))
    return Run(**vars(ended), logs=recording.logs, enqueued=recording.enqueued if ended.how == "complete" else [])


def run_batch(entrypoint: str, payloads: Sequence[Union[bytes, str, None]], *, attempt: int = 1, time_left: float = 60, http: Optional[Http] = None) -> list[Run]:
    """Run jobs of this entrypoint in one call, as the host would. What the handler logs is at the first of them."""
    datas = [payload.encode() if isinstance(payload, str) else payload for payload in payloads]
    details = [SimpleNamespace(id=id, entrypoint=entrypoint, attempt=attempt, max_attempts=25, priority=0, created=1_767_225_600_000) for id, _ in enumerate(datas, 1)]
    jobs = [_Source(detail, data, {}, time_left, Directive.PROCEED) for detail, data in zip(details, datas)]
    recording = _Recording(None, http)
    all = recording.during(lambda: _run.run_batch(jobs))
    return [Run(**vars(ended), logs=[] if n else recording.logs) for n, ended in enumerate(all)]


class _Source:
    def __init__(self, details: Any, payload: Optional[bytes], headers: dict[str, str], time_left: float, directive: Directive):
        self.details = lambda: details
        self.payload = lambda: payload
        self.header = headers.get
        self.headers = lambda: list(headers.items())
        self.time_left = lambda: int(time_left * 1000)
        self.heartbeat = lambda: directive


class _Recording:
    def __init__(self, sql: Optional[Sql], http: Optional[Http]):
        self.logs: list[LogLine] = []
        self.enqueued: list[Enqueued] = []
        self._sql, self._http = sql, http

    def during(self, call: Callable[[], Any]) -> Any:
        """Answer while this runs."""
        root, before = logging.getLogger(), _host.use(self)
        handlers, level = root.handlers[:], root.level
        _logs.install()
        try:
            return call()
        finally:
            _host.use(before)
            root.handlers[:] = handlers
            root.setLevel(level)

    def emit(self, level: str, message: str, fields: list[tuple[str, str]]) -> None:
        self.logs.append(LogLine(level, message, dict(fields)))

    def submit(self, job: Enqueued) -> None:
        self.enqueued.append(job)

    def _answer(self, statement: str, parameters: list[Any]) -> Any:
        if self._sql is None:
            raise AssertionError(f"the handler uses the database, and the test has no `sql` that answers: {statement}")
        return self._sql(statement, *map(from_value, parameters))

    def sql_execute(self, statement: str, parameters: list[Any]) -> int:
        answer = self._answer(statement, parameters)
        return answer if isinstance(answer, int) else len(list(answer))

    def sql_query(self, statement: str, parameters: list[Any]) -> Any:
        rows = list(self._answer(statement, parameters))
        names = list(rows[0]) if rows and isinstance(rows[0], dict) else []
        left = iter([tuple(row.values()) if isinstance(row, dict) else tuple(row) for row in rows])
        return SimpleNamespace(columns=lambda: names, next=lambda most: [row for row, _ in zip(left, range(most))])

    def sql_savepoint(self) -> Any:
        self._answer("SAVEPOINT", [])
        return SimpleNamespace(release=lambda: self._answer("RELEASE", []), roll_back=lambda: self._answer("ROLLBACK", []))

    def http_send(self, method: str, url: str, headers: list[tuple[str, str]], body: Optional[bytes], timeout_ms: Optional[int]) -> Response:
        if self._http is None:
            raise AssertionError(f"the handler sends a request, and the test has no `http` that answers: {method} {url}")
        return self._http(method, url, dict(headers), body)
