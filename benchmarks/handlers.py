"""PgQueuer's side of weak_points.py: handlers like those of tests/guests/hostile, over one connection (`main`) or a pool (`pooled`)."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pgqueuer import Job, PgQueuer


def serve(pgq: PgQueuer) -> PgQueuer:
    @pgq.entrypoint("echo")
    async def echo(job: Job) -> None:
        pass

    @pgq.entrypoint("nap")
    async def nap(job: Job) -> None:
        await asyncio.sleep(int(job.payload) / 1000)

    @pgq.entrypoint("nap_limited", concurrency_limit=2)
    async def nap_limited(job: Job) -> None:
        await asyncio.sleep(int(job.payload) / 1000)

    @pgq.entrypoint("nul")
    async def nul(job: Job) -> None:
        raise ValueError("before\0after")

    return pgq


@asynccontextmanager
async def main() -> AsyncIterator[PgQueuer]:
    connection = await asyncpg.connect(os.environ["PGDSN"])
    yield serve(PgQueuer.from_asyncpg_connection(connection))
    await connection.close()


@asynccontextmanager
async def pooled() -> AsyncIterator[PgQueuer]:
    async with asyncpg.create_pool(os.environ["PGDSN"], min_size=2) as pool:
        yield serve(PgQueuer.from_asyncpg_pool(pool))
