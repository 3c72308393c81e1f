"""What goes wrong in handlers, and what the host and the SDK make of it. Built into the examples' component."""

import sys
import time
import urllib.request
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pgq

_seen = 0


@pgq.entrypoint("py-noop", max_attempts=1)
def noop(job):
    return None


@pgq.entrypoint("py-fresh", max_attempts=1, reuse=1)
def fresh(job):
    return None


@pgq.entrypoint("py-kept")
def kept(job):
    global _seen
    _seen += 1
    return str(_seen)


def lookup(customer):
    return customer["name"]


@pgq.entrypoint("py-throws", max_attempts=1)
def throws(job):
    return lookup({})


@pgq.entrypoint("py-loops", max_attempts=1, timeout=0.5)
def loops(job):
    while True:
        pass


@pgq.entrypoint("py-sleeps", max_attempts=1, timeout=0.5)
def sleeps(job):
    time.sleep(600)


@pgq.entrypoint("py-hogs", max_attempts=1, memory=64 << 20)
def hogs(job):
    held = []
    while True:
        held.append(bytearray(1 << 20))


def deeper(n):
    return deeper(n + 1) + 1


@pgq.entrypoint("py-deep", max_attempts=1)
def deep(job):
    return deeper(0)


@pgq.entrypoint("py-exits", max_attempts=1)
def exits(job):
    sys.exit("enough")


@pgq.entrypoint("py-urlopen", max_attempts=1)
def urlopen(job: pgq.Job, payload: str):
    with urllib.request.urlopen(urllib.request.Request(payload, data=b"by urllib", method="PUT"), timeout=5) as answer:
        return f"{answer.status} {answer.read().decode()}"


@pgq.batch("py-batch", 100)
def batch(jobs):
    return [pgq.Reject("odd") if job.text == "odd" else f"{job.text} of {len(jobs)}" for job in jobs]


@pgq.entrypoint("py-sql", max_attempts=1)
def sql(job):
    try:
        with pgq.sql.savepoint():
            pgq.sql.execute("INSERT INTO account VALUES (1, 0)")
    except pgq.sql.Error as error:
        state = error.sqlstate
    pgq.sql.execute("UPDATE account SET balance = balance - $2 WHERE id = $1", 1, 10)
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
    row = pgq.sql.query(
        "SELECT $1::int4, $2::numeric, $3::timestamptz, $4::text[], $5::jsonb, $6::interval, $7::bytea, NULL::int8",
        1, Decimal("1.50"), moment, ["a", None], {"k": [1]}, timedelta(days=1, seconds=2), b"\x00",
    ).one()
    assert row == (1, Decimal("1.50"), moment, ["a", None], {"k": [1]}, timedelta(days=1, seconds=2), b"\x00", None), row
    rows = pgq.sql.query("SELECT g FROM generate_series(1, 1200) g")
    return {"state": state, "sum": sum(value for value, in rows)}


_failed = 0


@pgq.entrypoint("py-again", max_attempts=1)
def again(job):
    global _failed
    _failed += 1
    raise ValueError(f"failure {_failed}")
