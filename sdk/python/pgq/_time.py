"""Times as the host takes them: whole milliseconds, rounded up."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Union

Seconds = Union[int, float, timedelta]


def millis(time: Seconds) -> int:
    """Seconds (or a timedelta) in milliseconds."""
    seconds = time.total_seconds() if isinstance(time, timedelta) else time
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{time!r} is no time: give seconds, 0 or more")
    return math.ceil(round(seconds * 1000, 6))
