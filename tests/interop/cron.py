"""Evaluates cron expressions with croniter, as PgQueuer does.

Argument: {"expressions": [...], "starts": [unix times], "count": n}. Output, per expression: null if PgQueuer rejects it, else the
text that it stores and, per start, the next times. The list ends early if croniter finds no more.
"""

import json
import sys
from datetime import datetime, timezone

from croniter import croniter
from croniter.croniter import CroniterBadDateError


def times(expression: str, start: int, count: int) -> list[int]:
    cron = croniter(expression, start_time=datetime.fromtimestamp(start, timezone.utc))
    found = []
    try:
        while len(found) < count:
            found.append(int(cron.get_next(float)))
    except CroniterBadDateError:
        pass
    return found


def read(expression: str, starts: list[int], count: int) -> dict | None:
    if not croniter.is_valid(expression):
        return None
    stored = " ".join(croniter(expression).expressions)
    return {"stored": stored, "times": [times(stored, start, count) for start in starts]}


question = json.loads(sys.argv[1])
print(json.dumps([read(e, question["starts"], question["count"]) for e in question["expressions"]]))
