"""Compares stock PgQueuer 1.6.0 with pgq-host at PgQueuer's known weak points. Run by `make bench-weak-points`.

Each scenario does the same to both, each in a new database that the peer has set up, and reports the result. README.md beside this
file describes the scenarios. Prints a Markdown table to stdout, and the statements of the idle workers with their counts to stderr.
"""

import argparse
import contextlib
import itertools
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from drain import BINARY, ROOT, Peer, Server, database, wait_until

GUEST = ROOT / "target/guests/wasm32-wasip2/release/hostile.wasm"
PGQ = [sys.executable, "-m", "pgqueuer"]
# Enqueues as PgQueuer's client does: the rows, and a log row for each.
ENQUEUE = """
WITH new AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, headers, status)
    SELECT 0, %s, %s, %s, 'queued' FROM generate_series(1, %s) RETURNING id
), logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint) SELECT id, 'queued', 0, %s FROM new
)
SELECT min(id) FROM new
"""


@dataclass
class Case:
    """A peer with its own database, and helpers for the scenarios."""

    server: Server
    folder: Path
    dsn: str
    connection: psycopg.Connection
    commands: dict[str, list[object]]  # The `run` commands, by kind of connection.
    install: list[object]
    numbers: itertools.count

    def worker(self, *arguments: object, connected: str = "one") -> "Worker":
        """Start a worker. For PgQueuer, `connected` selects the kind of connection."""
        command = self.commands.get(connected, self.commands["one"])
        # One peer object per worker, since each writes its own log.
        peer = Peer(f"worker-{next(self.numbers)}", self.install, [*command, *arguments], self.folder)
        return Worker(peer, peer.start(f"{self.dsn}&application_name={peer.name}"))

    def enqueue(self, entrypoint: str, payload: str, count: int = 1, headers: str | None = None) -> int:
        """Enqueue jobs and return the first one's id."""
        return self.value(ENQUEUE, [entrypoint, payload.encode(), headers, count, entrypoint])

    def value(self, sql: str, parameters: object = None) -> object:
        return self.connection.execute(sql, parameters).fetchone()[0]

    def count(self, job: int, status: str) -> int:
        return self.value("SELECT count(*) FROM pgqueuer_log WHERE job_id = %s AND status = %s", [job, status])

    def serves(self) -> None:
        """Wait until a job has run."""
        job = self.enqueue("echo", "ready")
        wait_until("a job has run", lambda: self.count(job, "successful") == 1)

    def fate(self, job: int) -> str:
        row = self.connection.execute("SELECT status::text FROM pgqueuer WHERE id = %s", [job]).fetchone()
        last = self.connection.execute("SELECT status::text FROM pgqueuer_log WHERE job_id = %s ORDER BY id DESC LIMIT 1", [job]).fetchone()
        return f"`{row[0]}`" if row else f"gone, logged as `{last[0]}`"


@dataclass
class Worker:
    peer: Peer
    process: subprocess.Popen

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def alive(self) -> bool:
        return self.process.poll() is None


def poison_job(case: Case, seconds: int = 30) -> str:
    """A job that kills its worker each time it runs: SIGKILL at each `picked`, and a supervisor that restarts it at once."""
    lease = ["--heartbeat-timeout", "1", "--dequeue-timeout", "1"]
    job = case.enqueue("nap", "3600000")
    runs, begun = 0, time.monotonic()
    worker = case.worker(*lease)
    try:
        while time.monotonic() - begun < seconds:
            if case.count(job, "picked") > runs:
                worker.end()
                runs = case.count(job, "picked")
                worker = case.worker(*lease)
            time.sleep(0.01)
    finally:
        worker.end()
    return f"{runs} runs in {seconds} s, then {case.fate(job)}"


def unfenced_completion(case: Case, ms: int = 6000) -> str:
    """A worker is suspended (SIGSTOP) in the middle of a job, another takes the job over, and the first resumes and finishes it."""
    lease = ["--heartbeat-timeout", "1", "--dequeue-timeout", "1"]
    with case.worker(*lease) as stale:
        case.serves()
        job = case.enqueue("nap", str(ms))
        wait_until("the job runs", lambda: case.count(job, "picked") == 1)
        # The claim is committed. Its handler must have started, too.
        time.sleep(0.5)
        stale.process.send_signal(signal.SIGSTOP)
        with case.worker(*lease):
            wait_until("another has it", lambda: case.count(job, "picked") == 2)
            taken = time.monotonic()
            stale.process.send_signal(signal.SIGCONT)
            wait_until("the row is gone", lambda: case.value("SELECT count(*) FROM pgqueuer WHERE id = %s", [job]) == 0)
            after = time.monotonic() - taken
    if after < ms / 1000 - 0.25:
        return f"yes: the row was gone after {after:.1f} s of the other's {ms / 1000:.1f} s"
    return f"no: the row was gone after {after:.1f} s of the other's {ms / 1000:.1f} s, which is its end"


def nul_in_an_error(case: Case, good: int = 20, seconds: int = 15) -> str:
    """A job fails with a NUL in its message, followed by good jobs."""
    with case.worker():
        case.serves()
        bad = case.enqueue("nul", "")
        first = case.enqueue("echo", "good", good)
        recorded = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful' AND job_id >= %s"
        begun = time.monotonic()
        while time.monotonic() - begun < seconds and case.value(recorded, [first]) < good:
            time.sleep(0.01)
        stuck = good - case.value(recorded, [first])
        if not stuck:
            wait_until("the bad one is recorded", lambda: case.value("SELECT count(*) FROM pgqueuer WHERE status = 'picked'") == 0)
        return f"{stuck} of {good} after {time.monotonic() - begun:.1f} s; the bad one: {case.fate(bad)}"


def headers_not_an_object(case: Case, good: int = 9, seconds: int = 15) -> str:
    """A row with headers `[1,2]`, followed by good jobs."""
    with case.worker() as worker:
        case.serves()
        with case.connection.transaction():
            bad = case.enqueue("echo", "odd", headers="[1,2]")
            first = case.enqueue("echo", "good", good)
        done = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful' AND job_id >= %s"
        begun = time.monotonic()
        while time.monotonic() - begun < seconds and worker.alive() and case.value(done, [bad]) <= good:
            time.sleep(0.01)
        life = "lives" if worker.alive() else f"died after {time.monotonic() - begun:.1f} s"
        return f"{life}; {case.value(done, [first])} of {good} good jobs done; the odd one: {case.fate(bad)}"


def lost_listener(case: Case, jobs: int = 5) -> str:
    """The listening backend is terminated. 15 s later, single jobs are enqueued for the idle worker."""
    with case.worker("--dequeue-timeout", 8, connected="pool") as worker:
        case.serves()
        listening = "SELECT count(*) FROM pg_stat_activity WHERE query ~* '^LISTEN|^SELECT id, CASE' AND datname = current_database()"
        wait_until("it listens", lambda: case.value(listening) == 1)
        ended = case.value(listening.replace("count(*)", "count(pg_terminate_backend(pid))"))
        time.sleep(15)
        took = [waited(case, case.enqueue("echo", "late"), pause=1.3) for _ in range(jobs)]
        if not worker.alive():
            return "the worker ended"
        return f"median {milliseconds(took)} (of {jobs}); {case.value(listening)} of {ended} backends listens"


def requeue(case: Case, jobs: int = 5) -> str:
    """A held job is requeued by `pgq requeue` while the worker is idle."""
    with case.worker("--dequeue-timeout", 8):
        case.serves()
        took = []
        for number in range(jobs):
            job = case.value("INSERT INTO pgqueuer (priority, entrypoint, payload, status) VALUES (0, 'echo', 'x', 'failed') RETURNING id")
            # The INSERT woke the worker. Let it become idle again, at a different point of its interval each time.
            time.sleep(1.3 + number)
            command = [*PGQ, "requeue", str(job)]
            subprocess.run(command, env={"PGDSN": case.dsn, "PATH": "/usr/bin:/bin"}, check=True, stdout=subprocess.DEVNULL)
            took.append(waited(case, job))
        return f"median {milliseconds(took)} (of {jobs})"


def waited(case: Case, job: int, pause: float = 0.0) -> float:
    """Seconds from `queued` to `picked`."""
    wait_until("the job has run", lambda: case.count(job, "successful") == 1)
    time.sleep(pause)
    return float(case.value(
        """SELECT extract(epoch FROM max(created) FILTER (WHERE status = 'picked') - max(created) FILTER (WHERE status = 'queued'))
           FROM pgqueuer_log WHERE job_id = %s""", [job]))


def milliseconds(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:,.0f} ms, {min(seconds) * 1000:,.0f}-{max(seconds) * 1000:,.0f}"


def saturated_limit(case: Case, jobs: int = 300) -> str:
    """A limit of 2 over all workers, jobs of 20 ms, four workers: 100 jobs/s are possible."""
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(case.worker())
        # Each of PgQueuer's workers has one connection, with the name that we gave it. Each of pgq-host's has several, one of which listens (and checks for other hosts).
        connected = """SELECT count(DISTINCT application_name) FILTER (WHERE application_name LIKE 'worker-%')
                              + count(*) FILTER (WHERE application_name = 'pgq-host' AND query ~* '^LISTEN|^SELECT id, CASE')
                       FROM pg_stat_activity WHERE datname = current_database()"""
        wait_until("all are connected", lambda: case.value(connected) == 4)
        case.serves()
        time.sleep(3)
        first = case.enqueue("nap_limited", "20", jobs)
        done = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful' AND job_id >= %s"
        wait_until("all are done", lambda: case.value(done, [first]) == jobs)
        seconds = case.value(
            """SELECT extract(epoch FROM max(created) FILTER (WHERE status = 'successful') - min(created) FILTER (WHERE status = 'picked'))
               FROM pgqueuer_log WHERE job_id >= %s""", [first])
        # By id: a claim that saw a freed slot has a later id than the row that freed it.
        most = case.value(
            """SELECT max(running) FROM (
                   SELECT sum(CASE status WHEN 'picked' THEN 1 WHEN 'successful' THEN -1 ELSE 0 END) OVER (ORDER BY id) AS running
                   FROM pgqueuer_log WHERE job_id >= %s) AS r""", [first])
    return f"{jobs / float(seconds):.0f} jobs/s, {most} at most ran at once"


STATEMENT = re.compile(r"^\S+ \S+ \S+ \[\d+\] LOG:  (?:statement|execute [^:]*): ")


def idle(case: Case, seconds: int = 65) -> str:
    """The statements of an idle worker with all defaults, from the server's log with log_statement = all."""
    case.connection.execute("ALTER DATABASE bench SET log_statement = 'all'")
    with case.worker():
        case.serves()
        time.sleep(5)
        log = case.server.folder / "server.log"
        begin = log.stat().st_size
        time.sleep(seconds)
        lines = log.read_bytes()[begin:].decode(errors="replace").splitlines()
    seen: Counter[str] = Counter()
    for number, line in enumerate(lines):
        if STATEMENT.match(line):
            # Long statements continue on indented lines.
            rest = itertools.takewhile(lambda more: more.startswith("\t"), lines[number + 1:])
            seen[" ".join(" ".join([STATEMENT.sub("", line), *rest]).split())[:110]] += 1
    for statement, times in seen.most_common():
        print(f"  {times:4}  {statement}", file=sys.stderr)
    return f"{seen.total() / seconds:.2f}"


SCENARIOS: dict[str, Callable[[Case], str]] = {
    "poison job: it kills its worker every time": poison_job,
    "unfenced completion: a stale worker's end of a job deletes the row that another runs": unfenced_completion,
    "NUL byte in an error: good jobs stuck": nul_in_an_error,
    "headers that are not an object: the worker": headers_not_an_object,
    "lost listener: wait until `picked`, dequeue timeout 8 s": lost_listener,
    "requeue at an idle worker: wait until `picked`, dequeue timeout 8 s": requeue,
    "saturated limit of 2: of 100 possible jobs/s": saturated_limit,
    "idle worker: statements per second, over 65 s": idle,
}


@contextlib.contextmanager
def a_server() -> Iterator[tuple[Server, Path]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "database").mkdir()
        server = Server(folder / "database")
        try:
            yield server, folder
        finally:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="scenarios, by the names of their functions", metavar="NAME")
    options = parser.parse_args()
    for needed in [BINARY, GUEST]:
        if not needed.exists():
            sys.exit(f"{needed} is missing: run 'make bench-weak-points'")
    with a_server() as (server, folder):
        plugins = folder / "plugins"
        plugins.mkdir()
        shutil.copy(GUEST, plugins)
        peers = {
            "PgQueuer 1.6.0": (
                [*PGQ, "install"],
                {"one": [*PGQ, "run", "handlers:main"], "pool": [*PGQ, "run", "handlers:pooled"]},
            ),
            "pgq-host": ([BINARY, "install"], {"one": [BINARY, "run", "--plugins", plugins]}),
        }
        numbers = itertools.count(1)
        print(f"PostgreSQL {server.version}\n\n| | {' | '.join(peers)} |\n|---|---|---|", flush=True)
        for what, scenario in SCENARIOS.items():
            if options.only and scenario.__name__ not in options.only:
                continue
            cells = []
            for name, (install, commands) in peers.items():
                print(f"{scenario.__name__}: {name}", file=sys.stderr)
                with database(server, Peer(name, install, [], folder)) as (dsn, connection):
                    cells.append(scenario(Case(server, folder, dsn, connection, commands, install, numbers)))
            print(f"| {what} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
