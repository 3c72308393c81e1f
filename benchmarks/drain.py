"""Compares pgq-host with PgQueuer, graphile-worker and pg-boss (Node), graphile_worker and River (Rust) in one run on one machine: how fast they drain a
queue, what that costs, and how long one job takes. Also measures pgq-host's claims in a queue with a million rows.

Run by `make bench`. Starts and stops its own PostgreSQL with default settings (fsync on). Needs the release binary, the tests' guests, the peers
from npm and crates.io (peers-node, peers-rust), and PgQueuer in this Python. Writes docs/benchmarks.md and docs/benchmarks.svg.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import pwd
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psycopg

import report
from report import BOTH_CPU, SERVER_CPU, WORKER_CPU

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BINARY = ROOT / "target/release/pgq-host"
# Its entrypoints `noop_fresh` and `noop_kept` read their payload and return.
PLUGIN = ROOT / "target/guests/wasm32-wasip2/release/reuse.wasm"
PEERS_NODE = ROOT / "target/peers-node"
PEERS_RUST = ROOT / "target/peers-rust/release"
PAYLOAD = b'{"name":"x"}'
PATIENCE = 300
TICKS = os.sysconf("SC_CLK_TCK")

# Enqueues as PgQueuer does: the rows, and a log row for each.
ENQUEUE = """
WITH new AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, headers, status)
    SELECT 0, %s, %s, 'null', 'queued' FROM generate_series(1, %s)
    RETURNING id, priority, entrypoint
)
INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint) SELECT id, 'queued', priority, entrypoint FROM new
"""
# As graphile-worker's own bulk function does. A single job carries the time, to measure the wait until its task runs.
ADD_JOBS = """
SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
    SELECT json_populate_record(NULL::graphile_worker.job_spec, json_build_object('identifier', 'hello', 'payload', %s::json))
    FROM generate_series(1, %s)))
"""
ADD_JOB = "SELECT id FROM graphile_worker.add_job('hello', json_build_object('name', 'x', 'at', extract(epoch FROM now()) * 1000))"
# What their clients do for one job that is enqueued.
RIVER_ADD_JOB = """
WITH new AS (
    INSERT INTO river_job (args, kind, max_attempts, queue)
    VALUES (jsonb_build_object('name', 'x', 'at', extract(epoch FROM now()) * 1000), 'hello', 25, 'default')
)
SELECT pg_notify(current_schema() || '.river_insert', '{"queue":"default"}')
"""
PGBOSS_ADD_JOB = """
WITH new AS (
    INSERT INTO pgboss.job (name, data, policy)
    SELECT name, jsonb_build_object('name', 'x', 'at', extract(epoch FROM now()) * 1000), policy FROM pgboss.queue WHERE name = 'hello'
)
SELECT pg_notify('pgboss_' || left(encode(sha224('pgboss'::bytea), 'hex'), 24), 'hello')
"""


class Server:
    """A PostgreSQL in a temporary folder, with a Unix socket there. It runs as the user postgres if we are root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            account = pwd.getpwnam(self.user)
            os.chown(folder, account.pw_uid, account.pw_gid)
        binaries = server_binaries()
        data = folder / "data"
        self.run(binaries / "initdb", "--pgdata", data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C")
        log = open(folder / "server.log", "w")
        # Only its address differs from the defaults.
        arguments = ["-D", data, "-k", folder, "-c", "listen_addresses="]
        self.process = subprocess.Popen([binaries / "postgres", *arguments], stdout=log, stderr=log, user=self.user, cwd=folder)
        wait_until("PostgreSQL answers", self.answers)
        with self.connect("postgres") as connection:
            self.version = connection.execute("SHOW server_version").fetchone()[0]

    def run(self, *command: object) -> None:
        subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, user=self.user, cwd=self.folder)

    def dsn(self, database: str) -> str:
        return f"postgresql:///{database}?host={self.folder}&user=postgres"

    def connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(self.dsn(database), autocommit=True)

    def answers(self) -> bool:
        if self.process.poll() is not None:
            sys.exit(f"PostgreSQL did not start:\n{(self.folder / 'server.log').read_text()}")
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def cpu_seconds(self) -> float:
        """CPU seconds of the postmaster, its children, and children that ended."""
        own = self.process.pid
        total = 0
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                # The name is in parentheses and may contain anything. Numbers follow it.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # It has ended in the meantime.
            pid, parent = int(folder.name), int(fields[1])
            utime, stime, cutime, cstime = map(int, fields[11:15])
            if pid == own:
                total += utime + stime + cutime + cstime
            elif parent == own:
                total += utime + stime
        return total / TICKS

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


def server_binaries() -> Path:
    """Version 15 if it is installed, since the project's figures are about that one."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: (path.parent.name != "15", path.parent.name))
    if folders:
        return folders[0]
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    sys.exit("no PostgreSQL server binaries; install them, such as with 'apt-get install postgresql'")


def wait_until(what: str, holds) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            sys.exit(f"never came true: {what}")
        time.sleep(0.002)


class Peer:
    """A worker program on PgQueuer's tables: its name, how to install its schema and start it, and what it has done."""

    def __init__(self, name: str, install: list[object], run: list[object], folder: Path, entrypoint: str = "hello") -> None:
        self.name = name
        self.install = [str(word) for word in install]
        self.run = [str(word) for word in run]
        self.log = folder / f"{name}.log"
        self.entrypoint = entrypoint

    def enqueue(self, connection: psycopg.Connection, jobs: int) -> None:
        connection.execute(ENQUEUE, [self.entrypoint, PAYLOAD, jobs])

    def start_drain(self, dsn: str) -> subprocess.Popen:
        return self.start(dsn, "--mode", "drain")

    def has_run(self, connection: psycopg.Connection, jobs: int) -> bool:
        return logged(connection, "successful") == jobs

    def drained(self, connection: psycopg.Connection, jobs: int) -> float | None:
        """Seconds from the first claim to the last outcome. None unless each job ran exactly once."""
        if logged(connection, "successful") != jobs or logged(connection, "picked") != jobs:
            return None
        return float(
            connection.execute(
                """SELECT extract(epoch FROM max(created) FILTER (WHERE status = 'successful') - min(created) FILTER (WHERE status = 'picked'))
                   FROM pgqueuer_log"""
            ).fetchone()[0]
        )

    def waits(self, connection: psycopg.Connection) -> dict[str, list[float]]:
        """Milliseconds until each job but the first was claimed, and done."""
        rows = connection.execute(
            """SELECT extract(epoch FROM p.created - q.created) * 1000, extract(epoch FROM s.created - q.created) * 1000
               FROM pgqueuer_log q JOIN pgqueuer_log p USING (job_id) JOIN pgqueuer_log s USING (job_id)
               WHERE q.status = 'queued' AND p.status = 'picked' AND s.status = 'successful' ORDER BY job_id OFFSET 1"""
        ).fetchall()
        return {"claimed": [float(row[0]) for row in rows], "done": [float(row[1]) for row in rows]}

    def start(self, dsn: str, *arguments: str, log_level: str = "WARNING") -> subprocess.Popen:
        # Use the defaults for names, levels and so on, whatever the caller's environment says.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PGQ", "PG", "RUST_LOG"))}
        environment |= {"PGDSN": dsn, "PGQ_HOST_CACHE_DIR": str(self.log.parent / "code")}
        with open(self.log, "w") as log:
            return subprocess.Popen([*self.run, "--log-level", log_level, *arguments], env=environment, cwd=HERE, stdout=log, stderr=log)


class NoHistory(Peer):
    """pgq-host without a log row per claim and success, as graphile-worker has none. Its own log tells how long it took."""

    def start_drain(self, dsn: str) -> subprocess.Popen:
        return self.start(dsn, "--mode", "drain", log_level="INFO")

    def has_run(self, connection: psycopg.Connection, jobs: int) -> bool:
        return connection.execute("SELECT count(*) FROM pgqueuer").fetchone()[0] == 0

    def drained(self, connection: psycopg.Connection, jobs: int) -> float | None:
        done = connection.execute("SELECT sum(count) FROM pgqueuer_statistics WHERE status = 'successful'").fetchone()[0]
        if not self.has_run(connection, jobs) or done != jobs:
            return None
        lines = self.log.read_text().splitlines()
        at = {word: datetime.datetime.fromisoformat(line.split()[0]) for line in lines for word in ("ready", "stopped") if f"INFO {word} " in line}
        return (at["stopped"] - at["ready"]).total_seconds()

    def waits(self, connection: psycopg.Connection) -> dict[str, list[float]]:
        return {}


class OwnTables(Peer):
    """A peer with tables of its own. What it needed is what its process reports when it ends."""

    def __init__(self, name: str, run: list[object], folder: Path) -> None:
        super().__init__(name, [*run, "install"], run, folder)
        self.said = folder / f"{name}.json"

    def start_drain(self, dsn: str) -> subprocess.Popen:
        return self.start(dsn, "drain")

    def start(self, dsn: str, *arguments: str, log_level: str = "WARNING") -> subprocess.Popen:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "GRAPHILE"))}
        # As in graphile-worker's own benchmark. Otherwise it formats a line per job even if nobody reads it.
        environment |= {"PGDSN": dsn, "NO_LOG_SUCCESS": "1"}
        with open(self.said, "w") as said, open(self.log, "w") as log:
            return subprocess.Popen([*self.run, *(arguments or ["serve"])], env=environment, cwd=PEERS_NODE, stdout=said, stderr=log)

    def drained(self, connection: psycopg.Connection, jobs: int) -> float | None:
        return json.loads(self.said.read_text())["seconds"] if self.has_run(connection, jobs) else None

    def waits(self, connection: psycopg.Connection) -> dict[str, list[float]]:
        return {"claimed": json.loads(self.said.read_text())["waits"][1:]}


class Graphile(OwnTables):
    """graphile-worker, or graphile_worker on the same tables. They keep no history: completed jobs are those missing from the tables."""

    def enqueue(self, connection: psycopg.Connection, jobs: int) -> None:
        if jobs == 1:
            connection.execute(ADD_JOB)
        else:
            connection.execute(ADD_JOBS, [PAYLOAD.decode(), jobs])

    def has_run(self, connection: psycopg.Connection, jobs: int) -> bool:
        return connection.execute("SELECT count(*) FROM graphile_worker.jobs").fetchone()[0] == 0


class Keeping(OwnTables):
    """River or pg-boss: completed jobs stay in the table for days."""

    def __init__(self, name: str, run: list[object], folder: Path, table: str, add_job: str) -> None:
        super().__init__(name, run, folder)
        self.table = table
        self.add_job = add_job

    def enqueue(self, connection: psycopg.Connection, jobs: int) -> None:
        if jobs == 1:
            connection.execute(self.add_job)
        else:
            dsn = f"postgresql:///{connection.info.dbname}?host={connection.info.host}&user={connection.info.user}"
            subprocess.run([*self.run, "enqueue", str(jobs)], env=os.environ | {"PGDSN": dsn}, cwd=PEERS_NODE, check=True, stdout=subprocess.DEVNULL)

    def has_run(self, connection: psycopg.Connection, jobs: int) -> bool:
        return connection.execute(f"SELECT count(*) FROM {self.table} WHERE state = 'completed'").fetchone()[0] == jobs


def peers(folder: Path) -> list[Peer]:
    for needed in [BINARY, PLUGIN, PEERS_NODE / "node_modules", PEERS_RUST / "graphile", PEERS_RUST / "river"]:
        if not needed.exists():
            sys.exit(f"{needed} is not there: run 'make bench'")
    for script in ("graphile.mjs", "pgboss.mjs"):
        shutil.copy(HERE / "peers-node" / script, PEERS_NODE)
    node = PEERS_NODE / "node_modules/.bin/node"
    plugins = folder / "plugins"
    plugins.mkdir()
    shutil.copy(PLUGIN, plugins)
    pgq = [sys.executable, "-m", "pgqueuer"]
    host = [[BINARY, "install"], [BINARY, "run", "--plugins", plugins], folder]
    return [
        *(Peer(f"PgQueuer, batch {size}", [*pgq, "install"], [*pgq, "run", "noop:main", "--batch-size", size], folder) for size in (10, 500)),
        Keeping("pg-boss, batched", [node, PEERS_NODE / "pgboss.mjs"], folder, "pgboss.job", PGBOSS_ADD_JOB),
        Graphile("graphile-worker, batched", [node, PEERS_NODE / "graphile.mjs"], folder),
        Keeping("River (Rust)", [PEERS_RUST / "river"], folder, "river_job", RIVER_ADD_JOB),
        Graphile("graphile_worker (Rust)", [PEERS_RUST / "graphile"], folder),
        Peer("pgq-host, fresh", *host, entrypoint="noop_fresh"),
        Peer("pgq-host, reuse", *host, entrypoint="noop_kept"),
        NoHistory("pgq-host, reuse, no history", host[0], [*host[1], "--history", "none"], folder, entrypoint="noop_kept"),
    ]


@contextlib.contextmanager
def database(server: Server, peer: Peer) -> Iterator[tuple[str, psycopg.Connection]]:
    """A new database, with the schema that the peer installs."""
    with server.connect("postgres") as admin:
        admin.execute("CREATE DATABASE bench")
        dsn = server.dsn("bench")
        environment = os.environ | {"PGDSN": dsn}
        subprocess.run(peer.install, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with psycopg.connect(dsn, autocommit=True) as connection:
            yield dsn, connection
        admin.execute("DROP DATABASE bench WITH (FORCE)")


def wal(connection: psycopg.Connection) -> int:
    return connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()[0]


def logged(connection: psycopg.Connection, status: str) -> int:
    return connection.execute("SELECT count(*) FROM pgqueuer_log WHERE status = %s", [status]).fetchone()[0]


def drain(server: Server, peer: Peer, jobs: int) -> dict[str, float]:
    """Enqueue all jobs, let one process empty the queue, and measure how fast it was."""
    with database(server, peer) as (dsn, connection):
        # Otherwise the first write to a page after a checkpoint would carry its cost, for a random peer.
        connection.execute("CHECKPOINT")
        before_enqueue = wal(connection)
        peer.enqueue(connection, jobs)
        before, cpu_before = wal(connection), server.cpu_seconds()
        worker = peer.start_drain(dsn)
        _, status, usage = os.wait4(worker.pid, 0)
        worker.returncode = os.waitstatus_to_exitcode(status)
        after, cpu_after = wal(connection), server.cpu_seconds()
        seconds = peer.drained(connection, jobs) if worker.returncode == 0 else None
        if seconds is None:
            sys.exit(f"{peer.name} did not run each job once (exit code {worker.returncode}):\n{peer.log.read_text()[-4000:]}")
    worker_cpu, server_cpu = usage.ru_utime + usage.ru_stime, cpu_after - cpu_before
    thousands = jobs / 1000
    return {
        "jobs/s": jobs / seconds,
        WORKER_CPU: worker_cpu / thousands,
        SERVER_CPU: server_cpu / thousands,
        BOTH_CPU: (worker_cpu + server_cpu) / thousands,
        "WAL bytes per job: enqueue": float(before - before_enqueue) / jobs,
        "WAL bytes per job: worker": float(after - before) / jobs,
        "peak RSS of the worker, MB": usage.ru_maxrss / 1024,
    }


def latency(server: Server, peer: Peer, jobs: int, rate: int) -> dict[str, float]:
    """Enqueue single jobs for an idle worker, one every 1/rate s."""
    with database(server, peer) as (dsn, connection):
        worker = peer.start(dsn)
        # A completed job shows that the worker is ready.
        peer.enqueue(connection, 1)
        wait_until(f"{peer.name} runs a job", lambda: peer.has_run(connection, 1))
        idle = resident_mb(worker.pid)
        begun = time.monotonic()
        for number in range(jobs):
            time.sleep(max(0, begun + number / rate - time.monotonic()))
            peer.enqueue(connection, 1)
        wait_until(f"{peer.name} runs all jobs", lambda: peer.has_run(connection, jobs + 1))
        worker.send_signal(signal.SIGTERM)
        worker.wait()
        waits = peer.waits(connection)
    figures = {"RSS of the idle worker, MB": idle}
    for what, unsorted in waits.items():
        if len(unsorted) != jobs:
            sys.exit(f"{peer.name} says of {len(unsorted)} of {jobs} jobs when they were {what}")
        times = sorted(unsorted)
        figures[f"ms until {what}: p50"] = statistics.median(times)
        figures[f"ms until {what}: p99"] = times[max(int(len(times) * 0.99) - 1, 0)]
    return figures


def start_up(server: Server, peer: Peer) -> dict[str, float]:
    """From the start of the process until it can claim, with the plugin's code in the cache."""
    with database(server, peer) as (dsn, _):
        begun = time.monotonic()
        worker = peer.start(dsn, log_level="INFO")
        wait_until(f"{peer.name} is ready", lambda: " ready " in peer.log.read_text())
        elapsed = time.monotonic() - begun
        worker.send_signal(signal.SIGTERM)
        worker.wait()
    return {"start of the process to ready, ms": elapsed * 1000}


def resident_mb(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def claims(rounds: int, jobs: int, size: int | None) -> list[dict]:
    """How long pgq-host's claims take beside masses of rows, compared with an empty queue: a separate run of `pgq-host bench`."""
    sizes = ["--size", str(size)] if size else []
    command = [BINARY, "bench", "backlog", "future", "in-flight", "wide", "--embedded", "--json", "--rounds", rounds, "--jobs", jobs, *sizes]
    answer = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE)
    return json.loads(answer.stdout)["results"]


def versions(server: Server) -> dict[str, str]:
    def says(*command: object) -> str:
        return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout.strip()

    def package(name: str) -> str:
        return json.loads((PEERS_NODE / "node_modules" / name / "package.json").read_text())["version"]

    crates = {crate["name"]: crate["version"] for crate in tomllib.loads((HERE / "peers-rust/Cargo.lock").read_text())["package"]}
    node = f"Node {package('node')}"
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return {
        "pgq-host": f"{says(BINARY, '--version').split()[-1]}" + (f" (commit {commit})" if commit else ""),
        "PgQueuer": f"{metadata.version('pgqueuer')}, asyncpg {metadata.version('asyncpg')}, Python {platform.python_version()}",
        "pg-boss": f"{package('pg-boss')}, {node}",
        "graphile-worker": f"{package('graphile-worker')}, {node}",
        "River (Rust)": crates["riverqueue"],
        "graphile_worker (Rust)": crates["graphile_worker"],
        "PostgreSQL": f"{server.version}, default settings (fsync on)",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each measurement, interleaved [5]")
    parser.add_argument("--jobs", type=int, default=20_000, help="jobs drained in each round [20000]")
    parser.add_argument("--latency-jobs", type=int, default=200, help="jobs enqueued one by one at 100/s [200]")
    parser.add_argument("--claim-rounds", type=int, default=3, help="rounds of the claims beside masses of rows; 0 skips them [3]")
    parser.add_argument("--size", type=int, help="number of those rows, instead of each scenario's own")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="the folder for benchmarks.md and benchmarks.svg [docs]")
    options = parser.parse_args()
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory(prefix="pgq-bench-") as folder:
        os.chmod(folder, 0o755)  # PostgreSQL's user must be able to reach its own folder in it.
        home = Path(folder) / "pg"
        home.mkdir(mode=0o700)
        contenders = peers(Path(folder))
        server = Server(home)
        try:
            # Compiles the plugin into the cache, and loads everybody's code into the page cache. Not measured.
            for peer in contenders:
                drain(server, peer, 100)
            for round in range(options.rounds):
                for peer in contenders:
                    print(f"round {round + 1} of {options.rounds}: {peer.name}", file=sys.stderr)
                    measured = drain(server, peer, options.jobs) | latency(server, peer, options.latency_jobs, 100)
                    if peer.name == "pgq-host, fresh":
                        measured |= start_up(server, peer)
                    for what, value in measured.items():
                        figures[peer.name][what].append(value)
        finally:
            server.stop()
    run = report.Run(
        names=[peer.name for peer in contenders],
        figures=figures,
        claims=claims(options.claim_rounds, options.jobs, options.size) if options.claim_rounds else [],
        rounds=options.rounds,
        jobs=options.jobs,
        latency_jobs=options.latency_jobs,
        versions=versions(server),
    )
    (options.out / "benchmarks.svg").write_text(report.chart(run))
    (options.out / "benchmarks.md").write_text(report.page(run))
    print(report.table(run))


if __name__ == "__main__":
    main()
