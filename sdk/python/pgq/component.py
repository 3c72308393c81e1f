"""The component's exports. A plugin's `component.py` imports its handlers, and these; nothing else does."""

from __future__ import annotations

import sys
from typing import Any, Optional

from componentize_py_types import Err, Ok
from wit_world.imports import enqueue, http as wit_http, jobs, log, sql as wit_sql

from . import _host, _logs, _plugin, _run
from . import http, sql
from ._enqueue import EnqueueError, Enqueued
from ._values import Interval, from_value

__all__ = ["BatchHandler", "Describe", "Handler"]


#: The host keeps no more of a failure: the beginning of its message, the end of its traceback.
_MESSAGE, _TRACEBACK = 8000, 16000
#: A call passes 256 KiB at most.
_PIECE = 64 * 1024


class Describe:
    def register(self, registrar: Any) -> None:
        for text in _plugin.declarations():
            registrar.declare(text)


class Handler:
    def handle(self, raw: Any) -> Any:
        return _told(raw, _run.run(raw))


class BatchHandler:
    def handle_batch(self, raws: list[Any]) -> list[Any]:
        results = [_result(raw, ended) for raw, ended in zip(raws, _run.run_batch(raws))]
        for raw in raws:
            raw.__exit__(None, None, None)
        return results


def _told(raw: Any, ended: _run.Ended) -> Any:
    """The outcome, or an exception that is the failure."""
    if ended.how == "complete":
        return jobs.Outcome_Complete(ended.output)
    if ended.how == "snooze":
        return jobs.Outcome_Snooze(ended.after_ms)
    if ended.how == "discard":
        return jobs.Outcome_Discard(ended.message[:_MESSAGE])
    if ended.how == "reject":
        raise Err(jobs.Failure_Reject(ended.message[:_MESSAGE]))
    raw.failed(ended.kind[:256], ended.message[:_MESSAGE], ended.traceback[-_TRACEBACK:])
    raise Err(jobs.Failure_Retry(jobs.RetryInfo(ended.message[:_MESSAGE], ended.after_ms)))


def _result(raw: Any, ended: _run.Ended) -> Any:
    try:
        return Ok(_told(raw, ended))
    except Err as failure:
        return failure


class _Component:
    """Answers the SDK's calls with the host's functions."""

    def emit(self, level: str, message: str, fields: list[tuple[str, str]]) -> None:
        log.emit(log.Level[level.upper()], message, fields)

    def submit(self, job: Enqueued) -> None:
        with enqueue.Request(job.entrypoint) as request:
            if job.payload is not None:
                request.payload(job.payload)
            if job.priority:
                request.priority(job.priority)
            if job.delay_ms:
                request.delay(job.delay_ms)
            if job.dedupe_key is not None:
                request.dedupe_key(job.dedupe_key)
            for name, value in job.headers.items():
                request.header(name, value)
            try:
                request.submit()
            except Err as error:
                raise EnqueueError(f"the job for {job.entrypoint!r} was not enqueued: {error.value}") from None

    def sql_execute(self, statement: str, parameters: list[Any]) -> int:
        try:
            return wit_sql.execute(statement, [_wit_value(one) for one in parameters])
        except Err as error:
            raise _sql_error(error) from None

    def sql_query(self, statement: str, parameters: list[Any]) -> "_Cursor":
        try:
            return _Cursor(wit_sql.query(statement, [_wit_value(one) for one in parameters]))
        except Err as error:
            raise _sql_error(error) from None

    def sql_savepoint(self) -> "_Savepoint":
        try:
            return _Savepoint(wit_sql.set_savepoint())
        except Err as error:
            raise _sql_error(error) from None

    def http_send(self, method: str, url: str, headers: list[tuple[str, str]], body: Optional[bytes], timeout_ms: Optional[int]) -> http.Response:
        request = wit_http.Request(method, url)
        for name, value in headers:
            request.header(name, value)
        for start in range(0, len(body or b""), _PIECE):
            request.body(body[start : start + _PIECE])
        if timeout_ms is not None:
            request.timeout(timeout_ms)
        try:
            with wit_http.send(request) as response:
                pieces = iter(lambda: response.read(_PIECE), b"")
                return http.Response(response.status(), response.headers(), b"".join(pieces))
        except Err as error:
            with error.value as told:
                raise http.Error(told.message(), kind=told.kind().name.lower()) from None


class _Cursor:
    def __init__(self, cursor: Any):
        self._cursor = cursor

    def columns(self) -> list[str]:
        return [column.name for column in self._cursor.columns()]

    def next(self, most: int) -> list[tuple[Any, ...]]:
        try:
            rows = self._cursor.next(most)
        except Err as error:
            raise _sql_error(error) from None
        try:
            return [tuple(from_value(_plain(value)) for value in row) for row in rows]
        except OverflowError as error:
            raise sql.Error(str(error), kind="conversion") from None


class _Savepoint:
    def __init__(self, savepoint: Any):
        self._savepoint = savepoint

    def release(self) -> None:
        try:
            self._savepoint.release()
        except Err as error:
            raise _sql_error(error) from None

    def roll_back(self) -> None:
        try:
            self._savepoint.roll_back()
        except Err as error:
            raise _sql_error(error) from None


def _sql_error(error: Err) -> sql.Error:
    told = error.value
    with told:
        names = ("sqlstate", "detail", "hint", "constraint", "table", "column")
        return sql.Error(told.message(), kind=told.kind().name.lower(), **{name: getattr(told, name)() for name in names})


_CASES = {name.removeprefix("Scalar_").lower(): case for name, case in vars(wit_sql).items() if name.startswith("Scalar_")}
_NAMES = {case: name for name, case in _CASES.items()}


def _wit_scalar(scalar: tuple[str, Any]) -> Any:
    case, value = scalar
    if case == "null":
        return wit_sql.Scalar_Null()
    if isinstance(value, Interval):
        value = wit_sql.Interval(value.months, value.days, value.microseconds)
    return _CASES[case](value)


def _wit_value(value: Any) -> Any:
    if isinstance(value, list):
        return wit_sql.Value_Many([_wit_scalar(one) for one in value])
    return wit_sql.Value_One(_wit_scalar(value))


def _plain_scalar(scalar: Any) -> tuple[str, Any]:
    value = getattr(scalar, "value", None)
    if isinstance(value, wit_sql.Interval):
        value = Interval(value.months, value.days, value.microseconds)
    return _NAMES[type(scalar)], value


def _plain(value: Any) -> Any:
    if isinstance(value, wit_sql.Value_Many):
        return [_plain_scalar(one) for one in value.value]
    return _plain_scalar(value.value)


# All of the following is done once, when the component is built.
_host.use(_Component())
_logs.install()
for _one in _plugin.every():
    _one.reader()
if "urllib.request" in sys.modules:
    from . import _urllib

    _urllib.install()
# Last, when all modules are there.
_run.keep_sources()
