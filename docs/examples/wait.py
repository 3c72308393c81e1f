import asyncio
import json
import os

import asyncpg
from pgqueuer import AsyncpgDriver, Queries
from pgqueuer.core.completion import CompletionWatcher


async def greeting(connection: asyncpg.Connection, name: str) -> str:
    """Have a job done and wait for its output, for 30 s at most."""
    driver = AsyncpgDriver(connection)
    queries = Queries(driver)
    async with CompletionWatcher(driver, queries=queries) as watcher:
        [job] = await queries.enqueue("hello", json.dumps({"name": name}).encode())
        # `failed` is not an end to the watcher, since the job may be requeued: hence the time limit.
        status = await asyncio.wait_for(watcher.wait_for(job), timeout=30)
    output = await connection.fetchval("SELECT output FROM pgqueuer_output WHERE job_id = $1", job)
    return f"{status}: {output.decode()}"


async def main() -> None:
    connection = await asyncpg.connect(os.environ["PGDSN"])
    print(await greeting(connection, "Barbara"))
    await connection.close()


asyncio.run(main())
