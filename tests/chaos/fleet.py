"""A database with its workers and its producer, for one fault run."""

import asyncio
import contextlib
import json
import pathlib
import random
import time

import asyncpg

from receiver import Effect, Receiver
from server import Server
from workers import Worker

ENQUEUE = """
WITH new AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, status) SELECT 0, e, p, 'queued' FROM unnest($1::text[], $2::bytea[]) AS n(e, p)
    RETURNING id, priority, entrypoint
), logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint) SELECT id, 'queued', priority, entrypoint FROM new
) SELECT id FROM new ORDER BY id"""
# Jobs of "sealed" have no effect but a row of "sealed_effect", which nobody serves. They are locked rather than marked.
MIX = ("work",) * 7 + ("last", "last", "limited") + ("sealed",) * 10
# What a producer of payments notes in its own transaction: how many moves a job makes.
PAY = """
WITH new AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, status) SELECT 0, e, p, 'queued' FROM unnest($1::text[], $2::bytea[]) AS n(e, p)
    RETURNING id, priority, entrypoint, convert_from(payload, 'UTF8')::jsonb AS payment
), logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint) SELECT id, 'queued', priority, entrypoint FROM new
)
INSERT INTO payment (job, f, t, amount, moves)
SELECT id, (payment->>'from')::bigint, (payment->>'to')::bigint, (payment->>'amount')::bigint, CASE payment->>'ends' WHEN 'snooze' THEN 2 ELSE 1 END FROM new
RETURNING job"""
ACCOUNTS = 200
BANK = f"""
CREATE TABLE account (id bigint PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE move (job bigint NOT NULL, f bigint NOT NULL, t bigint NOT NULL, amount bigint NOT NULL);
CREATE INDEX ON move (job);
CREATE TABLE payment (job bigint PRIMARY KEY, f bigint NOT NULL, t bigint NOT NULL, amount bigint NOT NULL, moves int NOT NULL);
INSERT INTO account SELECT id, 1000 FROM generate_series(1, {ACCOUNTS}) id;
CREATE ROLE teller LOGIN;
GRANT SELECT, UPDATE ON account TO teller;
GRANT SELECT, INSERT ON move TO teller;"""
LOST_CONNECTION = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Fleet:
    def __init__(self, *, server: Server, database: str, folder: pathlib.Path, binary: pathlib.Path, plugins: pathlib.Path, cache: str, lease: float, seed: str):
        self.server, self.database, self.folder, self.binary = server, database, folder, binary
        self.plugins, self.cache, self.lease = plugins, cache, lease
        # Separate generators for faults and jobs. Otherwise the number of jobs would affect the faults.
        self.random, self._jobs = random.Random(seed), random.Random(seed)
        self.receiver = Receiver()
        self.workers: list[Worker] = []
        # Jobs acknowledged to the producer, and those of them that kill the worker that runs them.
        self.enqueued: set[int] = set()
        self.killers: set[int] = set()
        # When jobs could have continued, by job.
        self.waits: list[tuple[float, list[int]]] = []
        # Times in which answers were lost, so that a claim may have been made that its worker never learned of: from, to, worker.
        self.unheard: list[list] = []
        self.stuck: list[str] = []
        # Whether its handlers move money in the database.
        self.money = False
        self.ids: dict[str, tuple[str, int]] = {}
        self.began = time.time()
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task] = []

    async def start(self, hosts: int, pythons: int = 0, args: tuple[str, ...] = ("--max-concurrent-tasks", "8")) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        admin = await self.server.connect("postgres")
        await admin.execute(f'CREATE DATABASE "{self.database}"')
        await admin.close()
        process = await asyncio.create_subprocess_exec(str(self.binary), "install", "--pg-dsn", self.server.dsn(self.database))
        if await process.wait() != 0:
            raise RuntimeError("install failed")
        if self.money:
            await self._open_bank()
        await self.receiver.start()
        self.workers = [Worker(self, f"host{n}", False, list(args)) for n in range(hosts)]
        self.workers += [Worker(self, f"python{n}", True, []) for n in range(pythons)]
        for worker in self.workers:
            await worker.start()
        self._tasks.append(asyncio.create_task(self._book()))
        # All of them must be ready before the first job.
        await self.until(lambda: {name for name, _ in self.ids.values()} >= {worker.name for worker in self.hosts}, 60)

    async def _open_bank(self) -> None:
        connection = await self.server.connect(self.database)
        await connection.execute(BANK)
        await connection.close()
        grant = ("grant", "chaos", "--handler", "teller", "--apply", "--pg-dsn", self.server.dsn(self.database))
        process = await asyncio.create_subprocess_exec(str(self.binary), *grant, stdout=asyncio.subprocess.DEVNULL)
        if await process.wait() != 0:
            raise RuntimeError("grant failed")

    @property
    def hosts(self) -> list[Worker]:
        return [worker for worker in self.workers if not worker.python]

    async def until(self, holds, patience: float) -> bool:
        end = time.time() + patience
        while not holds():
            if time.time() > end:
                return False
            await asyncio.sleep(0.05)
        return True

    async def _book(self) -> None:
        """Record which id belongs to which host, before a host and its row disappear."""
        while not self._stop.is_set():
            with contextlib.suppress(*LOST_CONNECTION, RuntimeError):
                connection = await self.server.connect(self.database)
                try:
                    while not self._stop.is_set():
                        for row in await connection.fetch("SELECT id::text, pid FROM pgqueuer_host"):
                            name = next((worker.name for worker in self.hosts if worker.pid == row["pid"]), None)
                            if name and row["id"] not in self.ids:
                                self.ids[row["id"]] = (name, row["pid"])
                        await asyncio.sleep(0.1)
                finally:
                    connection.terminate()

    def produce(self, rate: float, ms: int | None = None) -> None:
        """Produce jobs from now until `settle`. Unless `ms` is given, they take 5 to 300 ms, and some take longer than a lease."""
        self._tasks.append(asyncio.create_task(self._produce(rate, ms)))

    async def _produce(self, rate: float, ms: int | None) -> None:
        due = time.time()
        while not self._stop.is_set():
            with contextlib.suppress(*LOST_CONNECTION, RuntimeError):
                connection = await self.server.connect(self.database)
                try:
                    while not self._stop.is_set():
                        due = max(due + 0.2, time.time() - 1)
                        await asyncio.sleep(max(0, due - time.time()))
                        count = int(rate * 0.2 + self._jobs.random())
                        await self.enqueue([self._jobs.choice(MIX) for _ in range(count)], connection, ms)
                finally:
                    connection.terminate()

    def pay(self, backlog: int) -> None:
        """Keep this many payments in the queue from now until `settle`."""
        self._tasks.append(asyncio.create_task(self._pay(backlog)))

    async def _pay(self, backlog: int) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(*LOST_CONNECTION, RuntimeError):
                connection = await self.server.connect(self.database)
                try:
                    while not self._stop.is_set():
                        waiting = await connection.fetchval("SELECT count(*) FROM pgqueuer WHERE status = 'queued'", timeout=5)
                        new = [self._payment() for _ in range(max(0, backlog - waiting))]
                        rows = await connection.fetch(PAY, [entrypoint for entrypoint, _ in new], [payload for _, payload in new], timeout=5)
                        self.enqueued.update(row["job"] for row in rows)
                        await asyncio.sleep(0.1)
                finally:
                    connection.terminate()

    def _payment(self) -> tuple[str, bytes]:
        debtor, creditor = self._jobs.sample(range(1, ACCOUNTS + 1), 2)
        ends = self._jobs.choices(("complete", "snooze", "retry", "trap"), (80, 8, 8, 4))[0]
        payment = {"from": debtor, "to": creditor, "amount": self._jobs.randint(1, 50), "ends": ends}
        return self._jobs.choice(("pay", "pay_and_tell")), json.dumps(payment).encode()

    async def enqueue(self, entrypoints: list[str], connection=None, ms: int | None = None) -> list[int]:
        own = connection or await self.server.connect(self.database)
        payloads = [json.dumps({"ms": self._ms(entrypoint) if ms is None else ms}).encode() for entrypoint in entrypoints]
        # A job whose INSERT got no answer may still be in the queue. Then it is checked like any other.
        ids = [row["id"] for row in await own.fetch(ENQUEUE, entrypoints, payloads, timeout=5)]
        self.enqueued.update(ids)
        if not connection:
            await own.close()
        return ids

    def _ms(self, entrypoint: str) -> int:
        if entrypoint == "sealed":
            # Around the time for which a row stays locked, and mostly below it.
            return self._jobs.choice((0, 5, 20, 40, 80))
        long = entrypoint == "work" and self._jobs.random() < 0.02
        return int(self.lease * 1500) if long else self._jobs.randint(5, 300)

    async def held_by(self, worker: Worker | None = None) -> list[int]:
        """The jobs that are picked by this worker, or by any, read without a proxy."""
        connection = await self.server.connect(self.database)
        rows = await connection.fetch("SELECT id, queue_manager_id::text AS worker FROM pgqueuer WHERE status = 'picked'")
        await connection.close()
        names = {uuid: name for uuid, (name, _) in self.ids.items()} | self.receiver.ids
        return [row["id"] for row in rows if worker is None or names.get(row["worker"]) == worker.name]

    def wait_for(self, jobs: list[int]) -> None:
        """These jobs can continue now: their recovery time starts."""
        self.waits.append((time.time(), jobs))

    async def settle(self, patience: float) -> bool:
        """The faults are over: wait until all jobs are done. Returns whether they were."""
        self._stop.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        end = time.time() + patience
        connection = await self.server.connect(self.database)
        try:
            while time.time() < end:
                for worker in self.workers:
                    if not worker.runs:
                        await worker.restart()
                # The bank's books balance only when all payments are made, so those that are due later count as well.
                due = "" if self.money else "AND execute_after <= now()"
                left = await connection.fetchval(f"SELECT count(*) FROM pgqueuer WHERE status IN ('queued', 'picked') AND entrypoint <> 'sealed_effect' {due} AND NOT id = ANY($1)", list(self.killers))
                if left == 0:
                    return True
                await asyncio.sleep(0.2)
            return False
        finally:
            await connection.close()

    def unhears(self, worker: Worker | None = None) -> list:
        """Record that answers to this worker, or to all, are lost, from a moment ago until the second element is set."""
        self.unheard.append([time.time() - 1, float("inf"), worker])
        return self.unheard[-1]

    def python_is_lost(self) -> None:
        """PgQueuer 1.6 does not reconnect, so jobs of its workers are rightly taken until they are restarted."""
        for worker in self.workers:
            if worker.python:
                worker.trouble()[1] = time.time() + 4 * self.lease

    async def stop(self) -> None:
        obeyed = await asyncio.gather(*(worker.stop() for worker in self.workers))
        self.stuck = [worker.name for worker, obeyed in zip(self.workers, obeyed, strict=True) if not obeyed and not worker.python]

    async def close(self) -> None:
        self._stop.set()
        for worker in self.workers:
            await worker.close()
        self.receiver.close()

    def begun(self) -> dict[int, list[Effect]]:
        begun: dict[int, list[Effect]] = {}
        for effect in self.receiver.effects:
            if effect.what == "begin":
                begun.setdefault(effect.job, []).append(effect)
        return begun
