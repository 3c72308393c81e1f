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


@asynccontextmanager
async def main(entrypoints: list[str]) -> AsyncIterator[PgQueuer]:
    connection = await asyncpg.connect(os.environ["PGDSN"])
    driver = AsyncpgDriver(connection)
    pgq = PgQueuer(driver)
    for argument in entrypoints:
        name, _, limit = argument.partition("=")

        @pgq.entrypoint(name, concurrency_limit=int(limit or 0))
        async def run(job: Job, naps: bool = bool(limit)) -> None:
            if naps:
                await asyncio.sleep(int(job.payload) / 1000)
            await driver.execute("INSERT INTO python_ran (job_id) VALUES ($1)", job.id)

    yield pgq
    await connection.close()
