"""A Python worker with schedules, for `pgq run scheduler:main -- ENTRYPOINT EXPRESSION...`. It records its runs in python_scheduled."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pgqueuer import AsyncpgDriver, PgQueuer
from pgqueuer.models import Schedule


@asynccontextmanager
async def main(arguments: list[str]) -> AsyncIterator[PgQueuer]:
    entrypoint, *expressions = arguments
    dsn = os.environ["PGDSN"]
    connection = await asyncpg.connect(dsn)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as notes:
        pgq = PgQueuer(AsyncpgDriver(connection))

        async def run(schedule: Schedule) -> None:
            await notes.execute(
                "INSERT INTO python_scheduled (expression, next_run) VALUES ($1, $2)", schedule.expression, schedule.next_run
            )

        for expression in expressions:
            pgq.schedule(entrypoint, expression)(run)
        yield pgq
    await connection.close()
