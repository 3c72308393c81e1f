"""PgQueuer's side of sql.py: a handler that reads a row and writes it, in a transaction over one of ten connections."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pgqueuer import Job, PgQueuer


@asynccontextmanager
async def main() -> AsyncIterator[PgQueuer]:
    connection = await asyncpg.connect(os.environ["PGDSN"])
    pgq = PgQueuer.from_asyncpg_connection(connection)
    async with asyncpg.create_pool(os.environ["PGDSN"], min_size=10, max_size=10) as accounts:

        @pgq.entrypoint("hello")
        async def hello(job: Job) -> None:
            account = job.id % 1000 + 1
            async with accounts.acquire() as own, own.transaction():
                await own.fetchval("SELECT balance FROM account WHERE id = $1", account)
                await own.execute("UPDATE account SET balance = balance + 1 WHERE id = $1", account)

        yield pgq
    await connection.close()
