import asyncio
import json
import os

import asyncpg
from pgqueuer import Queries


async def sign_up(connection: asyncpg.Connection, name: str) -> int:
    """The user and the job that greets: both are committed, or neither is."""
    async with connection.transaction():
        await connection.execute("INSERT INTO users (name) VALUES ($1)", name)
        queries = Queries.from_asyncpg_connection(connection)
        [job] = await queries.enqueue("hello", json.dumps({"name": name}).encode())
    return job


async def main() -> None:
    connection = await asyncpg.connect(os.environ["PGDSN"])
    print(await sign_up(connection, "Guido"))
    await connection.close()


asyncio.run(main())
