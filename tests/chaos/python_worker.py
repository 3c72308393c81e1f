"""A Python worker for `pgq run python_worker:main`, which reports its runs to the receiver as the plugin `chaos` does."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from pgqueuer import AsyncpgDriver, Job, PgQueuer

HOST, PORT = os.environ["RECEIVER"].split(":")


async def tell(what: str, job: Job) -> None:
    reader, writer = await asyncio.open_connection(HOST, int(PORT))
    path = f"/{what}/{job.id}/{job.attempts + 1}/{os.environ['HOST']}/{job.queue_manager_id}"
    writer.write(f"GET {path} HTTP/1.1\r\nhost: receiver\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


@asynccontextmanager
async def main() -> AsyncIterator[PgQueuer]:
    connection = await asyncpg.connect(os.environ["PGDSN"])
    pgq = PgQueuer(AsyncpgDriver(connection))

    def serve(entrypoint: str, limit: int) -> None:
        @pgq.entrypoint(entrypoint, concurrency_limit=limit)
        async def run(job: Job) -> None:
            await tell("begin", job)
            await asyncio.sleep(json.loads(job.payload or b"{}")["ms"] / 1000)
            await tell("end", job)

    for entrypoint, limit in (("work", 0), ("limited", 2)):
        serve(entrypoint, limit)
    yield pgq
