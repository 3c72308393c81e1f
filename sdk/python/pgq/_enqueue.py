"""Follow-up jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional

from . import _host
from ._payload import encode
from ._time import Seconds, millis


class EnqueueError(Exception):
    """The host took no request. The text names the limit that was met, or the entrypoint that is not granted."""


@dataclass
class Enqueued:
    """A job that is to be enqueued."""

    entrypoint: str
    payload: Optional[bytes] = None
    priority: int = 0
    delay_ms: int = 0
    dedupe_key: Optional[str] = None
    headers: dict[str, str] = field(default_factory=dict)


def enqueue(
    entrypoint: str,
    payload: Any = None,
    *,
    priority: int = 0,
    delay: Seconds = 0,
    dedupe_key: Optional[str] = None,
    headers: Optional[Mapping[str, str]] = None,
) -> None:
    """Enqueue a job when the current one completes, in the transaction that records it: both are there, or neither.

    The payload goes as it is if it is bytes or text, and as JSON otherwise. A run that ends in any other way enqueues
    nothing. With a `dedupe_key`, the request is dropped without an error if a job of that key is queued or running.
    """
    data = encode(payload, f"the payload for {entrypoint!r}")
    texts = {str(name): str(value) for name, value in (headers or {}).items()}
    _host.current().submit(Enqueued(entrypoint, data, priority, millis(delay), dedupe_key, texts))
