"""PgQueuer's side of drain.py: a worker whose one handler does nothing, as in PgQueuer's own documentation."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pgqueuer import Job, PgQueuer


@asynccontextmanager
async def main() -> AsyncIterator[PgQueuer]:
    connection = await asyncpg.connect(os.environ["PGDSN"])
    pgq = PgQueuer.from_asyncpg_connection(connection)

    @pgq.entrypoint("hello")
    async def hello(job: Job) -> None:
        pass

    yield pgq
    await connection.close()
