"""A client that waits: enqueues one job for each given entrypoint, and prints how each ended according to PgQueuer's CompletionWatcher."""

import asyncio
import json
import os
import sys

import asyncpg
from pgqueuer import AsyncpgDriver, Queries
from pgqueuer.core.completion import CompletionWatcher


async def main(entrypoints: list[str]) -> dict[str, str]:
    connection = await asyncpg.connect(os.environ["PGDSN"])
    driver = AsyncpgDriver(connection)
    queries = Queries(driver)
    # No polling: only the worker's notifications can resolve a waiter.
    async with CompletionWatcher(driver, queries=queries, refresh_interval=None) as watcher:
        ids = await queries.enqueue(entrypoints, [b"watched"] * len(entrypoints), [0] * len(entrypoints))
        statuses = await asyncio.wait_for(asyncio.gather(*map(watcher.wait_for, ids)), 30)
    await connection.close()
    return dict(zip(entrypoints, statuses))


print(json.dumps(asyncio.run(main(sys.argv[1:]))))
