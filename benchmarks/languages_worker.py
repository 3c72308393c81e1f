"""PgQueuer's side of languages.py: the handlers that do nothing, and the one that computes, in its own worker."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pgqueuer import Job, PgQueuer


@asynccontextmanager
async def main() -> AsyncIterator[PgQueuer]:
    connection = await asyncpg.connect(os.environ["PGDSN"])
    pgq = PgQueuer.from_asyncpg_connection(connection)

    @pgq.entrypoint("noop")
    async def noop(job: Job) -> None:
        pass

    @pgq.entrypoint("primes")
    async def primes(job: Job) -> None:
        below = json.loads(job.payload)["below"]
        sieve = bytearray([1]) * below
        sieve[:2] = bytes(2)
        for n in range(2, int(below**0.5) + 1):
            if sieve[n]:
                sieve[n * n :: n] = bytes(len(range(n * n, below, n)))
        assert sum(sieve) == 9592

    yield pgq
    await connection.close()
