"""Prints what PgQueuer's own exporter says of the database at PGDSN, as JSON: a list of lines."""

import asyncio
import json
import os

import asyncpg

from pgqueuer.db import AsyncpgDriver
from pgqueuer.metrics.prometheus import collect_metrics
from pgqueuer.queries import Queries


async def main():
    connection = await asyncpg.connect(os.environ["PGDSN"])
    text = await collect_metrics(Queries(AsyncpgDriver(connection)))
    await connection.close()
    print(json.dumps(text.splitlines()))


asyncio.run(main())
