"""The current job."""

from __future__ import annotations

import enum
import json
from datetime import datetime, timedelta, timezone
from typing import Any, Optional

from ._outcome import Reject


class Directive(enum.Enum):
    """What the host asks of a running handler. See `Job.heartbeat`."""

    PROCEED = 0
    CANCELLED = 1
    SHUTTING_DOWN = 2
    LEASE_LOST = 3

    @property
    def should_stop(self) -> bool:
        """Whether the handler should return now."""
        return self is not Directive.PROCEED


class Job:
    """The job that a handler runs, for the duration of that call.

    Payload and headers are copied out of the host each time they are read.
    """

    def __init__(self, source: Any):
        details = source.details()
        self._source = source
        #: The id of the row in the queue, the same for every attempt.
        self.id: int = details.id
        #: The name under which the job was enqueued.
        self.entrypoint: str = details.entrypoint
        #: The number of this run, 1 for the first. Snoozed and released runs do not count.
        self.attempt: int = details.attempt
        #: The most runs that there will be.
        self.max_attempts: int = details.max_attempts
        #: Jobs with a higher priority run first.
        self.priority: int = details.priority
        self._created_ms: int = details.created

    @property
    def is_last_attempt(self) -> bool:
        """Whether a retry of this run would fail the job for good."""
        return self.attempt >= self.max_attempts

    @property
    def created(self) -> datetime:
        """When the job was enqueued, to the millisecond."""
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=self._created_ms)

    @property
    def payload(self) -> Optional[bytes]:
        """The bytes that the producer stored. None if it stored SQL NULL."""
        return self._source.payload()

    @property
    def text(self) -> str:
        """The payload as UTF-8. Rejects the job where it is not."""
        try:
            return self._bytes().decode()
        except UnicodeDecodeError as error:
            raise Reject(f"the payload is not UTF-8: {error}") from None

    def json(self) -> Any:
        """The payload as JSON. Rejects the job where it is not: another attempt would read the same bytes."""
        try:
            return json.loads(self._bytes())
        except ValueError as error:
            raise Reject(f"the payload is not JSON: {error}") from None

    def header(self, name: str) -> Optional[str]:
        """One header. A string is its text, any other JSON value is JSON."""
        return self._source.header(name)

    @property
    def headers(self) -> dict[str, str]:
        """All headers, in the form of `header`."""
        return dict(self._source.headers())

    @property
    def idempotency_key(self) -> str:
        """A key by which a receiver can recognize this job, however often it runs.

        The header `idempotency-key` if the producer set one, otherwise made of the id and the time of enqueueing.
        """
        return self.header("idempotency-key") or f"pgq-{self.id}-{self._created_ms}"

    @property
    def time_left(self) -> float:
        """Seconds of wall time until the host interrupts this call."""
        return self._source.time_left() / 1000

    def heartbeat(self) -> Directive:
        """Ask whether to continue. Cheap: a long handler asks now and then, and returns early when told to."""
        return Directive(self._source.heartbeat().value)

    def _bytes(self) -> bytes:
        payload = self.payload
        if payload is None:
            raise Reject("the job has no payload")
        return payload

    def __repr__(self) -> str:
        return f"<job {self.id} of {self.entrypoint!r}, attempt {self.attempt} of {self.max_attempts}>"
