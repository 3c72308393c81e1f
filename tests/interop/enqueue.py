"""A producer: enqueues one batch through PgQueuer's client and prints the ids, or the dedupe keys that were taken.

Its argument is a JSON array of jobs: entrypoint, payload, and if wanted priority, delay (seconds), dedupe_key, headers.
"""

import asyncio
import json
import os
import sys
from datetime import timedelta

import asyncpg
from pgqueuer import Queries
from pgqueuer.errors import DuplicateJobError


async def main(jobs: list[dict]) -> dict:
    connection = await asyncpg.connect(os.environ["PGDSN"])
    try:
        ids = await Queries.from_asyncpg_connection(connection).enqueue(
            [job["entrypoint"] for job in jobs],
            [job["payload"].encode() for job in jobs],
            [job.get("priority", 0) for job in jobs],
            [timedelta(seconds=job.get("delay", 0)) for job in jobs],
            [job.get("dedupe_key") for job in jobs],
            [job.get("headers") for job in jobs],
        )
    except DuplicateJobError as error:
        return {"duplicate": error.dedupe_key}
    finally:
        await connection.close()
    return {"ids": ids}


print(json.dumps(asyncio.run(main(json.loads(sys.argv[1])))))
