"""Measures what looks cost where the queue has millions of jobs and the log tens of millions of rows: asks `pgq-host web` each question of the API,
and prints how long the answers took.

Usage: python benchmarks/look.py --dsn postgresql://.../empty_database [--jobs 5000000] [--log 50000000] [--binary target/release/pgq-host]

The database has to be empty; it takes about 1 GB for each 5 million log rows. Nothing is removed afterwards. Needs psycopg.
"""

import argparse
import json
import socket
import statistics
import subprocess
import time
import urllib.request

import psycopg

FILL = [
    """INSERT INTO pgqueuer (priority, entrypoint, payload, headers, status, created, execute_after, updated, queue_manager_id)
       SELECT n % 3, 'e' || n % 20, 'payload', 'null',
              CASE WHEN n % 5000 = 0 THEN 'failed' WHEN n % 5000 = 1 THEN 'picked' ELSE 'queued' END::pgqueuer_status,
              now() - ({jobs} - n) * interval '10 ms',
              now() - ({jobs} - n) * interval '10 ms' + CASE WHEN n % 10 = 0 THEN interval '2 days' ELSE interval '0' END, now(),
              CASE WHEN n % 5000 = 1 THEN gen_random_uuid() END
       FROM generate_series(1, {jobs}) AS n""",
    """INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback, created, aggregated)
       SELECT {jobs} + n / 3, (ARRAY['queued', 'picked', 'successful'])[1 + n % 3]::pgqueuer_status, 0, 'e' || n / 3 % 20,
              CASE WHEN n % 1000 = 0 THEN jsonb_build_object('exception_type', 'Trap', 'exception_message', 'order ' || n || ' failed',
                  'traceback', repeat('    1: 0x1a2b - a.wasm!core::panicking::panic' || chr(10), 20),
                  'additional_context', jsonb_build_object('plugin', 'a', 'plugin_version', '1', 'plugin_sha256', md5((n % 6)::text))) END,
              now() - ({log} - n) * interval '1 ms', true
       FROM generate_series({first}, {last}) AS n""",
    """INSERT INTO pgqueuer_attempt (created, job_id, plugin, elapsed_us, memory_bytes, attempt)
       SELECT now() - ({attempts} - n) * interval '3 ms', {jobs} + n, n % 6, (random() * 100000)::bigint, 1000000, 1
       FROM generate_series(1, {attempts}) AS n""",
    """INSERT INTO pgqueuer_statistics (created, count, priority, status, entrypoint)
       SELECT date_trunc('sec', now()) - s * interval '1 s', 10, 0, status::pgqueuer_status, 'e' || e
       FROM generate_series(0, 86400) AS s, unnest(ARRAY['queued', 'successful']) AS status, generate_series(0, 19) AS e
       ORDER BY s DESC""",
]
QUESTIONS = [
    "overview", "overview?entrypoint=e3", "failures", "failures?entrypoint=e3", "hosts", "plugins", "schedules", "pauses", "audit", "jobs",
    "jobs?status=failed", "jobs?status=failed&entrypoint=e0", "jobs?status=picked", "jobs?status=queued&entrypoint=e3", "jobs?status=successful",
    "jobs/5000", "jobs/{ended}", "lines",
]
STEP = 5_000_000


def fill(connection: psycopg.Connection, jobs: int, log: int) -> None:
    for sql in FILL:
        parts = range(1, log + 1, STEP) if "{first}" in sql else [1]
        for first in parts:
            began = time.monotonic()
            last = min(log, first + STEP - 1)
            connection.execute(sql.format(jobs=jobs, log=log, attempts=log // 3, first=first, last=last))
            print(f"{sql.split()[2]}: {time.monotonic() - began:.0f} s", flush=True)
    connection.execute("VACUUM ANALYZE")


def ask(port: int, question: str) -> tuple[float, int]:
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{question}") as answer:
        body = answer.read()
    json.loads(body)
    return time.perf_counter() - began, len(body)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--jobs", type=int, default=5_000_000)
    parser.add_argument("--log", type=int, default=50_000_000)
    parser.add_argument("--binary", default="target/release/pgq-host")
    parser.add_argument("--filled", action="store_true", help="the database is filled already")
    parser.add_argument("--times", type=int, default=5)
    args = parser.parse_args()
    if not args.filled:
        subprocess.run([args.binary, "--pg-dsn", args.dsn, "install"], check=True)
        with psycopg.connect(args.dsn, autocommit=True) as connection:
            fill(connection, args.jobs, args.log)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    web = subprocess.Popen([args.binary, "--pg-dsn", args.dsn, "web", "--port", str(port)])
    try:
        for _ in range(100):
            try:
                ask(port, "me")
                break
            except OSError:
                time.sleep(0.1)
        print(f"{'question':36} {'first ms':>9} {'median ms':>9} {'bytes':>8}")
        for question in QUESTIONS:
            question = question.format(ended=args.jobs + args.log // 6)
            first, size = ask(port, question)
            times = [ask(port, question)[0] for _ in range(args.times)]
            print(f"{question:36} {first * 1000:9.1f} {statistics.median(times) * 1000:9.1f} {size:8}", flush=True)
    finally:
        web.terminate()
        web.wait()


if __name__ == "__main__":
    main()
