"""A client that cancels the jobs with these ids."""

import asyncio
import os
import sys

import asyncpg
from pgqueuer import Queries


async def main(ids: list[int]) -> None:
    connection = await asyncpg.connect(os.environ["PGDSN"])
    await Queries.from_asyncpg_connection(connection).mark_job_as_cancelled(ids)
    await connection.close()


asyncio.run(main([int(argument) for argument in sys.argv[1:]]))
print("null")
