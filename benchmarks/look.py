"""Measures what looking costs: what the queue pays for being able to tell (attempts, lines, causes), what it pays while people look, and how long
the answers take where the queue has millions of jobs and the log tens of millions of rows.

Run by `make bench-look`. Starts and stops its own PostgreSQL with default settings. Needs the release binary and the tests' guests. Prints tables;
nothing is written.
"""

import argparse
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import psycopg

from drain import BINARY, PLUGIN, Peer, Server, drain, wait_until
from report import BOTH_CPU, SERVER_CPU, WORKER_CPU

# What a host goes without if it is not there: everything that is kept for whoever looks.
FORGET = """
DROP TABLE pgqueuer_attempt, pgqueuer_lines, pgqueuer_cause, pgqueuer_audit, pgqueuer_pause, pgqueuer_adjustment;
DROP INDEX pgqueuer_held, pgqueuer_log_failures
"""
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
              CASE WHEN n % 100 = 0 THEN jsonb_build_object('exception_type', 'Trap', 'exception_message', 'order ' || n || ' failed',
                  'traceback', repeat('    1: 0x1a2b - a.wasm!core::panicking::panic' || chr(10), 20),
                  'additional_context', jsonb_build_object('plugin', 'a', 'plugin_version', '1', 'plugin_sha256', md5((n % 6)::text))) END,
              now() - ({log} - n) * interval '1 ms', true
       FROM generate_series({first}, {last}) AS n""",
    """INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback, created, aggregated)
       SELECT id, 'failed', 0, entrypoint, jsonb_build_object('exception_type', 'Reject', 'exception_message', 'no field ' || id), now(), true
       FROM pgqueuer WHERE status = 'failed'""",
    """INSERT INTO pgqueuer_attempt (created, job_id, plugin, elapsed_us, memory_bytes, attempt)
       SELECT now() - ({attempts} - n) * interval '3 ms', {jobs} + n, n % 6, (random() * 100000)::bigint, 1000000, 1
       FROM generate_series(1, {attempts}) AS n""",
    """INSERT INTO pgqueuer_statistics (created, count, priority, status, entrypoint)
       SELECT date_trunc('sec', now()) - s * interval '1 s', 10, 0, status::pgqueuer_status, 'e' || e
       FROM generate_series(0, {seconds}) AS s, unnest(ARRAY['queued', 'successful']) AS status, generate_series(0, 19) AS e
       ORDER BY s DESC""",
]
QUESTIONS = [
    "overview", "overview?entrypoint=e3", "failures", "failures?entrypoint=e3", "hosts", "troubles", "plugins", "schedules", "pauses", "audit", "jobs",
    "jobs?status=failed", "jobs?status=failed&entrypoint=e0", "jobs?status=picked", "jobs?status=queued&entrypoint=e3", "jobs?status=successful",
    "jobs/5000", "jobs/{ended}", "lines",
]
PAGES = ["/", "/jobs", "/jobs?status=failed", "/failures", "/plugins", "/hosts", "/schedules", "/pauses", "/audit"]
# As often as an open page is read again.
TICK = 2.0
STEP = 5_000_000


class Web:
    """`pgq-host web` on a database, until it is closed."""

    def __init__(self, dsn: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PGQ", "PG", "RUST_LOG"))}
        command = [BINARY, "--pg-dsn", dsn, "web", "--port", str(self.port), "--log-level", "WARNING"]
        self.process = subprocess.Popen(command, env=environment)
        wait_until("the pages answer", self.answers)

    def answers(self) -> bool:
        try:
            return self.get(http.client.HTTPConnection("127.0.0.1", self.port), "/healthz")[0] == 200
        except OSError:
            return False

    def get(self, connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
        connection.request("GET", path, headers={"Host": "localhost"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


class Forgetful(Peer):
    """A host on a database without the tables and indexes for whoever looks."""

    def enqueue(self, connection: psycopg.Connection, jobs: int) -> None:
        for statement in FORGET.split(";"):
            connection.execute(statement)
        super().enqueue(connection, jobs)


class Watched(Peer):
    """A host while pages are read: by so many readers, each page again after `pause` seconds."""

    def __init__(self, *arguments: object, readers: int, pause: float, **keywords: str) -> None:
        super().__init__(*arguments, **keywords)
        self.readers, self.pause, self.pages, self.failed = readers, pause, 0, 0

    def start_drain(self, dsn: str) -> subprocess.Popen:
        self.pages = 0
        self.web, self.stop = Web(dsn), threading.Event()
        self.threads = [threading.Thread(target=self.read, args=[number], daemon=True) for number in range(self.readers)]
        for thread in self.threads:
            thread.start()
        # Each page was read once: what comes now is what open pages cost.
        wait_until("the pages are read", lambda: self.pages >= self.readers)
        return super().start_drain(dsn)

    def read(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.web.port)
        while True:
            status, _ = self.web.get(connection, PAGES[number % len(PAGES)])
            self.pages, self.failed, number = self.pages + 1, self.failed + (status != 200), number + 1
            if self.stop.wait(self.pause):
                return

    def drained(self, connection: psycopg.Connection, jobs: int) -> float | None:
        self.stop.set()
        for thread in self.threads:
            thread.join()
        self.web.close()
        if self.failed or not self.pages:
            sys.exit(f"{self.name}: {self.failed} of {self.pages} pages were not answered")
        return super().drained(connection, jobs)


def peers(folder: Path) -> tuple[list[Peer], list[Peer]]:
    plugins = folder / "plugins"
    plugins.mkdir()
    shutil.copy(PLUGIN, plugins)
    install = [BINARY, "install"]
    keep_all = folder / "keep-all.toml"
    keep_all.write_text('[logs]\nkeep = "all"\n')
    host = [BINARY, "run", "--plugins", plugins]
    common = {"folder": folder, "entrypoint": "noop_kept"}
    kept = [
        Forgetful("without attempts, lines, causes and audit", install, host, **common),
        Peer("with all of it (the default)", install, host, **common),
        Peer("and lines of successes kept", install, [*host, "--config", keep_all], **common),
    ]
    watched = [
        Peer("nobody looks", install, host, **common),
        Watched("50 open pages", install, host, **common, readers=50, pause=TICK),
        Watched("one reader at full tilt", install, host, **common, readers=1, pause=0.0),
    ]
    return kept, watched


def in_turns(server: Server, contenders: list[Peer], jobs: int, rounds: int) -> None:
    """Prints the median of each, and how much slower it is than the first: the median of the ratios within each round."""
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for peer in contenders:
        drain(server, peer, min(jobs, 500))
    for round in range(rounds):
        # Whoever comes first in a round finds other caches.
        for peer in contenders[round % len(contenders) :] + contenders[: round % len(contenders)]:
            print(f"round {round + 1} of {rounds}: {peer.name}", file=sys.stderr)
            for what, value in drain(server, peer, jobs).items():
                figures[peer.name][what].append(value)
    columns = ["jobs/s", WORKER_CPU, SERVER_CPU, BOTH_CPU, "WAL bytes per job: worker"]
    print("\n| | " + " | ".join(columns) + " | slower than the first |\n|" + "---|" * (len(columns) + 2))
    first = figures[contenders[0].name]["jobs/s"]
    for name, measured in figures.items():
        shown = (statistics.median(measured[column]) for column in columns)
        cells = " | ".join(f"{value:,.0f}" if value >= 100 else f"{value:.3f}" for value in shown)
        slower = [100 * (1 - own / base) for own, base in zip(measured["jobs/s"], first)]
        spread = f"{statistics.median(slower):.1f} % [{min(slower):.1f} to {max(slower):.1f}]" if name != contenders[0].name else ""
        print(f"| {name} | {cells} | {spread} |", flush=True)


def fill(connection: psycopg.Connection, jobs: int, log: int) -> None:
    for sql in FILL:
        parts = range(1, log + 1, STEP) if "{first}" in sql else [1]
        for first in parts:
            began, last = time.monotonic(), min(log, first + STEP - 1)
            connection.execute(sql.format(jobs=jobs, log=log, attempts=max(1, log // 3), seconds=min(86_400, log // 100), first=first, last=last))
            print(f"{sql.split()[2]}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    connection.execute("VACUUM ANALYZE")


def count_causes(dsn: str, folder: Path) -> None:
    """A host counts the failures' causes, as one would have done as they came."""
    empty = folder / "no-plugins"
    empty.mkdir(exist_ok=True)
    host = Peer("counting", [], [BINARY, "run", "--plugins", empty], folder)
    worker, began = host.start(dsn), time.monotonic()
    with psycopg.connect(dsn, autocommit=True) as connection:
        left = "SELECT count(*) FROM pgqueuer_retention WHERE walk = 'causes' AND walked > now() - interval '2 minutes'"
        while connection.execute(left).fetchone()[0] == 0:
            time.sleep(1)
            if time.monotonic() - began > 3_600:
                sys.exit("the causes are not counted after an hour")
        counted = connection.execute("SELECT coalesce(sum(failures), 0) FROM pgqueuer_cause").fetchone()[0]
    worker.terminate()
    worker.wait()
    print(f"{counted} failures counted by cause in {time.monotonic() - began:.0f} s", file=sys.stderr)


def answers(dsn: str, jobs: int, log: int, times: int) -> None:
    web = Web(dsn)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", web.port)
        print(f"\n| {jobs:,} jobs, {log:,} log rows | first, ms | median, ms | bytes |\n|---|---|---|---|")
        paths = [f"/api/v1/{question}" for question in QUESTIONS] + PAGES
        for path in paths:
            path = path.format(ended=jobs + log // 6)
            taken = []
            for _ in range(times + 1):
                # Otherwise it is what was read a moment ago.
                if path in PAGES and taken:
                    time.sleep(TICK + 0.1)
                began = time.perf_counter()
                status, body = web.get(connection, path)
                taken.append((time.perf_counter() - began) * 1_000)
                if status != 200:
                    sys.exit(f"{path}: {status} {body[:300]!r}")
                if path.startswith("/api"):
                    json.loads(body)
            print(f"| `{path}` | {taken[0]:.1f} | {statistics.median(taken[1:]):.1f} | {len(body):,} |", flush=True)
    finally:
        web.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="kept,watched,answers", help="what to measure [kept,watched,answers]")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each drain, in turns [5]")
    parser.add_argument("--drain", type=int, default=50_000, help="jobs drained in each [50000]")
    parser.add_argument("--jobs", type=int, default=5_000_000, help="jobs in the queue while answers are measured [5000000]")
    parser.add_argument("--log", type=int, default=50_000_000, help="rows in the log; about 1 GB for each 5 million [50000000]")
    parser.add_argument("--times", type=int, default=5, help="answers to each question [5]")
    parser.add_argument("--dsn", help="an empty database for the answers, instead of one of its own; nothing is removed from it")
    parser.add_argument("--filled", action="store_true", help="that database is filled already")
    options = parser.parse_args()
    parts = options.parts.split(",")
    if unknown := set(parts) - {"kept", "watched", "answers"}:
        sys.exit(f"--parts: {', '.join(sorted(unknown))} is none of kept, watched, answers")
    with tempfile.TemporaryDirectory(prefix="pgq-bench-") as folder:
        os.chmod(folder, 0o755)
        home = Path(folder) / "pg"
        home.mkdir(mode=0o700)
        kept, watched = peers(Path(folder))
        server = Server(home)
        try:
            if "kept" in parts:
                in_turns(server, kept, options.drain, options.rounds)
            if "watched" in parts:
                in_turns(server, watched, options.drain, options.rounds)
            if "answers" in parts:
                dsn = options.dsn
                if dsn is None:
                    with server.connect("postgres") as connection:
                        connection.execute("CREATE DATABASE look")
                    dsn = server.dsn("look")
                if not options.filled:
                    subprocess.run([BINARY, "--pg-dsn", dsn, "install"], check=True)
                    with psycopg.connect(dsn, autocommit=True) as connection:
                        fill(connection, options.jobs, options.log)
                    count_causes(dsn, Path(folder))
                answers(dsn, options.jobs, options.log, options.times)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
