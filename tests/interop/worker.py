"""A Python worker, for `pgq run worker:main -- ENTRYPOINT[=LIMIT]...`.

It notes every run in the table python_ran, which tells the runs of Python from those of pgq-host. A limited entrypoint sleeps for as many
milliseconds as the payload says, as the guest of the same name does.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pgqueuer import AsyncpgDriver, Job, PgQueuer


def serve(pgq: PgQueuer, notes: asyncpg.Pool, entrypoint: str, limit: int) -> None:
    @pgq.entrypoint(entrypoint, concurrency_limit=limit)
    async def run(job: Job) -> None:
        if limit:
            await asyncio.sleep(int(job.payload) / 1000)
        await notes.execute("INSERT INTO python_ran (job_id) VALUES ($1)", job.id)


@asynccontextmanager
async def main(entrypoints: list[str]) -> AsyncIterator[PgQueuer]:
    dsn = os.environ["PGDSN"]
    connection = await asyncpg.connect(dsn)
    # Separate connections for the records: on PgQueuer's, they would delay its claims.
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as notes:
        pgq = PgQueuer(AsyncpgDriver(connection))
        for argument in entrypoints:
            name, _, limit = argument.partition("=")
            serve(pgq, notes, name, int(limit or 0))
        yield pgq
    await connection.close()
