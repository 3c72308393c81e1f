"""A dashboard: reads everything through PgQueuer's readers, and prints it. Each of them validates every row with pydantic."""

import asyncio
import json
import os
from datetime import timedelta

import asyncpg
from pgqueuer import Queries
from pgqueuer.metrics.prometheus import collect_metrics
from pydantic_core import to_jsonable_python


async def main() -> dict:
    connection = await asyncpg.connect(os.environ["PGDSN"])
    queries = Queries.from_asyncpg_connection(connection)
    hour = timedelta(hours=1)
    log = await queries.queue_log()
    seen = {
        "log": log,
        "history": {entry.job_id: await queries.job_log_history(entry.job_id) for entry in log},
        "exceptions": await queries.exception_logs(),
        "failed": await queries.list_failed_jobs(),
        "queue": await queries.browse_queue(),
        "sizes": await queries.queue_size(),
        "durations": await queries.job_duration_percentiles(hour),
        "throughput": await queries.throughput_summary(hour),
        "buckets": await queries.throughput_timeseries(hour),
        "statistics": await queries.log_statistics(100),
        "tables": await queries.schema_info(),
        "metrics": await collect_metrics(queries),
    }
    await connection.close()
    return seen


print(json.dumps(to_jsonable_python(asyncio.run(main()), bytes_mode="base64")))
