"""pgq-host beside PgQueuer, in one run on one machine: how fast a queue is drained, what that costs, how long one job takes.

Run by `make bench`. Starts a PostgreSQL of its own with default settings (fsync on) and stops it. Needs the release binary, the example
plugins, and a Python that has PgQueuer: this one. README.md beside this file says how to read the table.
"""

import argparse
import contextlib
import os
import pwd
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import psycopg

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BINARY = ROOT / "target/release/pgq-host"
PLUGIN = ROOT / "plugins-example/dist/hello.wasm"
PAYLOAD = b'{"name":"x"}'
PATIENCE = 300
TICKS = os.sysconf("SC_CLK_TCK")

# As PgQueuer enqueues: the rows, and a log row for each.
ENQUEUE = """
WITH new AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, headers, status)
    SELECT 0, 'hello', %s, 'null', 'queued' FROM generate_series(1, %s)
    RETURNING id, priority, entrypoint
)
INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint) SELECT id, 'queued', priority, entrypoint FROM new
"""


class Server:
    """A PostgreSQL in a temporary folder, reached over a Unix socket in it; run by the user postgres where we are root."""

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
        # Where it listens is all that differs from the defaults.
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
        """Of the postmaster, its children, and those that it has buried."""
        own = self.process.pid
        total = 0
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                # The name, in parentheses, may hold anything; what follows is numbers.
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # It ended while we looked.
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
    """Version 15 where there is one, since that is what the project's figures are about."""
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
    """A worker program: what it is called, how its schema is made, how it is started."""

    def __init__(self, name: str, install: list[object], run: list[object], folder: Path) -> None:
        self.name = name
        self.install = [str(word) for word in install]
        self.run = [str(word) for word in run]
        self.log = folder / f"{name}.log"

    def start(self, dsn: str, *arguments: str, log_level: str = "WARNING") -> subprocess.Popen:
        # hello.wasm says a line per job at INFO, PgQueuer's no-op handler nothing: hence WARNING.
        # Names, levels and so on are the defaults, whatever the caller's environment says.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PGQ", "PG", "RUST_LOG"))}
        environment |= {"PGDSN": dsn, "PGQ_HOST_CACHE_DIR": str(self.log.parent / "code")}
        with open(self.log, "w") as log:
            return subprocess.Popen([*self.run, "--log-level", log_level, *arguments], env=environment, cwd=HERE, stdout=log, stderr=log)


def peers(folder: Path) -> list[Peer]:
    for needed, by in [(BINARY, "make build"), (PLUGIN, "make build")]:
        if not needed.exists():
            sys.exit(f"{needed} is not there: run '{by}'")
    plugins = folder / "plugins"
    plugins.mkdir()
    shutil.copy(PLUGIN, plugins)
    pgq = [sys.executable, "-m", "pgqueuer"]
    pgqueuers = [
        Peer(f"PgQueuer, batch {size}", [*pgq, "install"], [*pgq, "run", "noop:main", "--batch-size", size], folder) for size in (10, 500)
    ]
    return [*pgqueuers, Peer("pgq-host", [BINARY, "install"], [BINARY, "run", "--plugins", plugins], folder)]


@contextlib.contextmanager
def database(server: Server, peer: Peer) -> Iterator[tuple[str, psycopg.Connection]]:
    """A fresh one, with the schema as the peer makes it."""
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
    """Enqueue all, let one process empty the queue, and read from its log how fast it was."""
    with database(server, peer) as (dsn, connection):
        # Else the first to write a page after a checkpoint pays for all of it, and which peer that is would be chance.
        connection.execute("CHECKPOINT")
        before_enqueue = wal(connection)
        connection.execute(ENQUEUE, [PAYLOAD, jobs])
        before, cpu_before = wal(connection), server.cpu_seconds()
        worker = peer.start(dsn, "--mode", "drain")
        _, status, usage = os.wait4(worker.pid, 0)
        worker.returncode = os.waitstatus_to_exitcode(status)
        after, cpu_after = wal(connection), server.cpu_seconds()
        if worker.returncode != 0 or logged(connection, "successful") != jobs or logged(connection, "picked") != jobs:
            sys.exit(f"{peer.name} did not run each job once (exit code {worker.returncode}):\n{peer.log.read_text()[-4000:]}")
        seconds = connection.execute(
            """SELECT extract(epoch FROM max(created) FILTER (WHERE status = 'successful') - min(created) FILTER (WHERE status = 'picked'))
               FROM pgqueuer_log"""
        ).fetchone()[0]
    thousands = jobs / 1000
    return {
        "jobs/s": jobs / float(seconds),
        "CPU s per 1,000 jobs: worker": (usage.ru_utime + usage.ru_stime) / thousands,
        "CPU s per 1,000 jobs: PostgreSQL": (cpu_after - cpu_before) / thousands,
        "WAL bytes per job: enqueue": float(before - before_enqueue) / jobs,
        "WAL bytes per job: worker": float(after - before) / jobs,
        "peak RSS of the worker, MB": usage.ru_maxrss / 1024,
    }


def latency(server: Server, peer: Peer, jobs: int, rate: int) -> dict[str, float]:
    """Single jobs at an idle worker, one every 1/rate s."""
    with database(server, peer) as (dsn, connection):
        worker = peer.start(dsn)
        # A job that was run says that it is up.
        connection.execute(ENQUEUE, [PAYLOAD, 1])
        wait_until(f"{peer.name} runs a job", lambda: logged(connection, "successful") == 1)
        idle = resident_mb(worker.pid)
        begun = time.monotonic()
        for number in range(jobs):
            time.sleep(max(0, begun + number / rate - time.monotonic()))
            connection.execute(ENQUEUE, [PAYLOAD, 1])
        wait_until(f"{peer.name} runs all jobs", lambda: logged(connection, "successful") == jobs + 1)
        worker.send_signal(signal.SIGTERM)
        worker.wait()
        rows = connection.execute(
            """SELECT extract(epoch FROM p.created - q.created) * 1000, extract(epoch FROM s.created - q.created) * 1000
               FROM pgqueuer_log q JOIN pgqueuer_log p USING (job_id) JOIN pgqueuer_log s USING (job_id)
               WHERE q.status = 'queued' AND p.status = 'picked' AND s.status = 'successful' ORDER BY job_id OFFSET 1"""
        ).fetchall()
    figures = {"RSS of the idle worker, MB": idle}
    for column, what in enumerate(["picked", "successful"]):
        times = sorted(float(row[column]) for row in rows)
        figures[f"ms until `{what}`: p50"] = statistics.median(times)
        figures[f"ms until `{what}`: p99"] = times[int(len(times) * 0.99) - 1]
    return figures


def start_up(server: Server, peer: Peer) -> dict[str, float]:
    """From the start of the process to its first claim being possible, the plugin's code being in the cache."""
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


def table(names: list[str], figures: dict[str, dict[str, list[float]]]) -> str:
    """Medians with their range, and pgq-host as a multiple of each peer."""
    *others, ours = names
    heads = ["median [min-max]", *names, *(f"pgq-host / {name}" for name in others)]
    lines = [heads, ["---"] * len(heads)]
    for what in dict.fromkeys(what for name in names for what in figures[name]):
        measured = [figures[name].get(what) for name in names]
        cells = [f"{number(statistics.median(values))} [{number(min(values))}-{number(max(values))}]" if values else "" for values in measured]
        ratios = [f"{statistics.median(measured[-1]) / statistics.median(values):.2f}" if values else "" for values in measured[:-1]]
        lines.append([what, *cells, *ratios])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of each measurement, interleaved [5]")
    parser.add_argument("--jobs", type=int, default=20_000, help="drained in each round [20000]")
    parser.add_argument("--latency-jobs", type=int, default=200, help="enqueued one by one at 100/s [200]")
    options = parser.parse_args()
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory(prefix="pgq-bench-") as folder:
        os.chmod(folder, 0o755)  # PostgreSQL's user must get to its own folder in it.
        home = Path(folder) / "pg"
        home.mkdir(mode=0o700)
        contenders = peers(Path(folder))
        server = Server(home)
        try:
            # Compiles the plugin into the cache, and everybody's code into the page cache; counts for nothing.
            for peer in contenders:
                drain(server, peer, 100)
            for round in range(options.rounds):
                for peer in contenders:
                    print(f"round {round + 1} of {options.rounds}: {peer.name}", file=sys.stderr)
                    measured = drain(server, peer, options.jobs) | latency(server, peer, options.latency_jobs, 100)
                    if peer is contenders[-1]:
                        measured |= start_up(server, peer)
                    for what, value in measured.items():
                        figures[peer.name][what].append(value)
        finally:
            server.stop()
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{options.rounds} rounds of {options.jobs:,} jobs; {os.cpu_count()} cores, load {load}; PostgreSQL {server.version}, default settings.\n")
    print(table([peer.name for peer in contenders], figures))


if __name__ == "__main__":
    main()
