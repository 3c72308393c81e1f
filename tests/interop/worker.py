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


def serve(pgq: PgQueuer, driver: AsyncpgDriver, entrypoint: str, limit: int) -> None:
    @pgq.entrypoint(entrypoint, concurrency_limit=limit)
    async def run(job: Job) -> None:
        if limit:
            await asyncio.sleep(int(job.payload) / 1000)
        await driver.execute("INSERT INTO python_ran (job_id) VALUES ($1)", job.id)


@asynccontextmanager
async def main(entrypoints: list[str]) -> AsyncIterator[PgQueuer]:
    connection = await asyncpg.connect(os.environ["PGDSN"])
    driver = AsyncpgDriver(connection)
    pgq = PgQueuer(driver)
    for argument in entrypoints:
        name, _, limit = argument.partition("=")
        serve(pgq, driver, name, int(limit or 0))
    yield pgq
    await connection.close()
