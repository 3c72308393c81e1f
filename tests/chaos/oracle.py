"""Judges what happened to every job, by the log, by what is left in the queue, and by the effects that the receiver saw."""

import collections
import dataclasses
import json
import statistics

from fleet import Fleet

TERMINAL = ("successful", "canceled", "exception", "deleted")


@dataclasses.dataclass
class Figures:
    """All figures except jobs, seconds and recovery must be zero."""

    jobs: int = 0
    lost: list = dataclasses.field(default_factory=list)
    undone: list = dataclasses.field(default_factory=list)
    twice: list = dataclasses.field(default_factory=list)
    effects: list = dataclasses.field(default_factory=list)
    unfenced: list = dataclasses.field(default_factory=list)
    taken: list = dataclasses.field(default_factory=list)
    held: list = dataclasses.field(default_factory=list)
    stuck: list = dataclasses.field(default_factory=list)
    # Reported but not judged: the guarantee is at least once, and PgQueuer's own writes are not fenced.
    again: int = 0
    by_python: int = 0
    recovery: list = dataclasses.field(default_factory=list)

    WRONG = ("lost", "undone", "twice", "effects", "unfenced", "taken", "held", "stuck")

    def wrong(self) -> dict[str, list]:
        return {name: getattr(self, name) for name in self.WRONG if getattr(self, name)}

    def percentile(self) -> tuple[float, float]:
        return (statistics.median(self.recovery), max(self.recovery)) if self.recovery else (0.0, 0.0)

    def add(self, other: "Figures") -> None:
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


async def judge(fleet: Fleet) -> Figures:
    connection = await fleet.server.connect(fleet.database)
    log = await connection.fetch(
        "SELECT job_id, status::text, extract(epoch FROM created)::float8 AS at, traceback::text FROM pgqueuer_log"
        " WHERE entrypoint <> 'sealed_effect' ORDER BY id"
    )
    rows = {row["id"]: row for row in await connection.fetch("SELECT id, status::text, execute_after <= now() AS due FROM pgqueuer WHERE entrypoint <> 'sealed_effect'")}
    effects = collections.Counter(int(row["payload"]) for row in await connection.fetch("SELECT payload FROM pgqueuer WHERE entrypoint = 'sealed_effect'"))
    sealed = {row["job_id"] for row in await connection.fetch("SELECT DISTINCT job_id FROM pgqueuer_log WHERE entrypoint = 'sealed'")}
    paid = await settled_payments(connection) if fleet.money else {}
    await connection.close()
    history: dict[int, list] = {}
    for row in log:
        history.setdefault(row["job_id"], []).append(row)
    begun, ended = fleet.begun(), {effect.job for effect in fleet.receiver.effects if effect.what == "end"}
    ended |= set(effects) | set(paid)
    figures = Figures(jobs=len(fleet.enqueued | set(history)), stuck=fleet.stuck)
    for job in sorted(fleet.enqueued | set(history)):
        states = history.get(job, [])
        over = [row["status"] for row in states if row["status"] in TERMINAL]
        runs = begun.get(job, [])
        python = any(effect.worker.startswith("python") for effect in runs)
        if not over and job not in rows or "successful" in over and job not in ended:
            figures.lost.append(job)
        # A Python worker that was away takes its own job once more, and writes both ends in one statement.
        pythons_own = bool(runs) and all(effect.worker.startswith("python") for effect in runs)
        if len(over) > 1 and not pythons_own:
            figures.twice.append(job)
        # What its outcome wrote is there exactly as often as the outcome.
        if job in sealed and effects[job] != over.count("successful"):
            figures.effects.append((job, effects[job], over))
        # A job of the bank that succeeded moved its money as often as its payment says, and one that did not succeed never did.
        if fleet.money and paid.get(job) is not ("successful" in over):
            figures.effects.append((job, "moves", over))
        # Enqueued while the clock was ahead, it is due when the clock reaches that time again.
        if job in rows and rows[job]["status"] in ("queued", "picked") and rows[job]["due"] and job not in fleet.killers:
            figures.undone.append(job)
        if not follows([row["status"] for row in states]):
            # A Python worker that was cut off overwrites whatever happened to its job meanwhile.
            if python:
                figures.by_python += 1
            else:
                figures.unfenced.append(job)
        # No handler here ever fails, so no job may be held or given up because of its own runs.
        if job not in fleet.killers and ("exception" in over or job in rows and rows[job]["status"] == "failed"):
            figures.held.append((job, len(runs)))
        figures.again += len(runs) > 1
        figures.taken += [
            (job, *taken)
            for at, row in enumerate(states)
            if (taken := taken_from_the_living(fleet, row)) and not never_heard_of(fleet, states[:at], row["at"], runs, taken[0])
        ]
    recovery(fleet, history, begun, figures)
    return figures


async def settled_payments(connection) -> dict[int, bool]:
    """Each payment, and whether its moves are what was paid. Raises if money was made or lost."""
    wrong = await connection.fetch(
        "SELECT id, balance FROM account WHERE balance <> 1000 + (SELECT coalesce(sum(amount * moves), 0) FROM payment WHERE t = id)"
        " - (SELECT coalesce(sum(amount * moves), 0) FROM payment WHERE f = id)"
    )
    if wrong:
        raise RuntimeError(f"balances that the payments do not explain: {wrong}")
    stray = await connection.fetchval("SELECT count(*) FROM move m WHERE NOT EXISTS (SELECT FROM payment p WHERE (p.job, p.f, p.t, p.amount) = (m.job, m.f, m.t, m.amount))")
    if stray:
        raise RuntimeError(f"{stray} moves that nobody asked for")
    rows = await connection.fetch("SELECT p.job, p.moves = count(m.job) AS exact FROM payment p LEFT JOIN move m ON m.job = p.job GROUP BY p.job, p.moves")
    return {row["job"]: row["exact"] for row in rows}


def follows(states: list[str]) -> bool:
    """Whether each write was made by the holder of the claim at that time."""
    now = "nothing"
    allowed = {
        "nothing": ("queued",),
        "queued": ("picked", "canceled"),
        "picked": ("picked", "queued", "failed", *TERMINAL),
        "failed": ("queued", "canceled"),
    }
    for state in states:
        if state not in allowed.get(now, ()):
            return False
        now = state
    return True


def taken_from_the_living(fleet: Fleet, row) -> tuple | None:
    """For a row that says that a worker was lost: that worker, if the driver had not touched it for the length of a lease."""
    if not row["traceback"] or "WorkerLost" not in row["traceback"]:
        return None
    traceback = json.loads(row["traceback"])
    lost = (traceback.get("additional_context") or {}).get("queue_manager_id")
    name, pid = fleet.ids.get(lost, (fleet.receiver.ids.get(lost), 0))
    worker = by_name(fleet, name)
    if worker is None or pid in worker.killed and worker.killed[pid] <= row["at"] + 1:
        return None
    # A margin for this machine, and one for a worker that could not act until a moment ago.
    since = row["at"] - fleet.lease - 2
    if any(begin <= row["at"] + 0.5 and end >= since for begin, end in worker.troubles):
        return None
    return name, round(row["at"] - fleet.began, 1), "its sessions ended" if "gone" in traceback["exception_message"] else "its lease was over"


def never_heard_of(fleet: Fleet, before: list, lost: float, runs: list, name: str) -> bool:
    """Whether the answer to the claim may have been lost. Then nobody knows that it holds the job, which returns when its lease expires."""
    picked = max((row["at"] for row in before if row["status"] == "picked"), default=0)
    if any(effect.worker == name and picked <= effect.at <= lost for effect in runs):
        return False
    return any(begin <= picked <= end and worker in (None, by_name(fleet, name)) for begin, end, worker in fleet.unheard)


def by_name(fleet: Fleet, name: str | None):
    return next((worker for worker in fleet.workers if worker.name == name), None)


def recovery(fleet: Fleet, history: dict, begun: dict, figures: Figures) -> None:
    """The time from when a job could continue to the start of its next run, or to its end."""
    for since, jobs in fleet.waits:
        for job in jobs:
            ends = [row["at"] for row in history.get(job, []) if row["status"] in TERMINAL and row["at"] >= since]
            starts = [effect.at for effect in begun.get(job, []) if effect.at >= since]
            if ends or starts:
                figures.recovery.append(min(ends + starts) - since)
