"""How a run ends other than with an output. Each can be raised anywhere in a handler, or returned."""

from __future__ import annotations

from typing import Optional

from ._time import Seconds, millis


class Ending(Exception):
    """A decision of the handler, not a mistake in it."""


class Retry(Ending):
    """Try again as long as attempts are left: after this time, or after the entrypoint's back-off."""

    def __init__(self, message: str, *, after: Optional[Seconds] = None):
        super().__init__(message)
        self.after_ms = None if after is None else millis(after)


class Reject(Ending):
    """Never try again: the job fails now, for this reason."""


class Snooze(Ending):
    """Not now: run the job again after this time. Does not count as an attempt."""

    def __init__(self, after: Seconds):
        super().__init__(f"again in {after}")
        self.after_ms = millis(after)


class Discard(Ending):
    """The job is no longer needed, for this reason."""
