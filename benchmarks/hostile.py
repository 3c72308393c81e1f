"""Measures how a hostile guest affects the jobs beside it: throughput, latency, the host's memory. Run by `make bench-hostile`.

For each way to misbehave (tests/guests/hostile), alternating with a quiet run: jobs of `echo` arrive at a fixed rate together with hostile
jobs, on one host with its defaults. Or hostile files: a new one arrives in the plugins folder every half second. A column is the median
of the rounds.
"""

import argparse
import contextlib
import itertools
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from drain import BINARY, ROOT, Peer, Server, database, logged, resident_mb, wait_until

GUESTS = ROOT / "target/guests/wasm32-wasip2/release"
GUEST = GUESTS / "hostile.wasm"
KINDS = ["panics", "spin", "spin_in_calls", "hog", "recurse", "sleep_for_ever", "log_flood", "output_flood", "enqueue_flood", "handle_leak", "exits"]
FILES = ["describe-loops", "describe-panics", "describe-lies", "noise", "truncated", "compile-bomb", "many-memories"]
BETWEEN = 0.5
INSERT = "INSERT INTO pgqueuer (priority, entrypoint, payload, status) SELECT 0, %s, 'x', 'queued' FROM generate_series(1, %s)"
LATENCY = """
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM done.created - queue.created) * 1000)
FROM pgqueuer_log AS done JOIN pgqueuer_log AS queue USING (job_id)
WHERE done.status = 'successful' AND queue.status = 'queued' AND done.entrypoint = 'echo'
"""
# Enqueues as PgQueuer's client does. Without the log row, there would be no start time.
LOGGED = """
WITH new AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, status) VALUES (0, 'echo', 'x', 'queued') RETURNING id
) INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint) SELECT id, 'queued', 0, 'echo' FROM new
"""


def echoes(connection) -> int:
    """The number of good jobs that are done. Some hostile ones succeed, too."""
    return connection.execute("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful' AND entrypoint = 'echo'").fetchone()[0]


def uleb(value: int) -> bytes:
    """WebAssembly's encoding of unsigned numbers."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(encoded) + bytes([value])


def section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + uleb(len(content)) + content


def component(*modules: bytes) -> bytes:
    """A component with only these core modules."""
    return b"\0asm\x0d\0\x01\0" + b"".join(section(1, module) for module in modules)


def compile_bomb() -> bytes:
    """A loop with so many interdependent values that it takes a compiler minutes."""
    get, put, load, add = (lambda n: b"\x20" + uleb(n)), (lambda n: b"\x21" + uleb(n)), b"\x28\x02\x00", b"\x6a"
    steps = b"".join(get(i * 7 % 500) + get(i * 13 % 500) + load + add + put(i % 500) for i in range(40_000))
    body = b"\x01" + uleb(500) + b"\x7f" + b"\x03\x40" + steps + get(0) + b"\x0d\x00\x0b\x0b"
    return component(
        b"\0asm\x01\0\0\0" + section(1, b"\x01\x60\0\0") + section(3, b"\x01\0") + section(5, b"\x01\0\x01") + section(10, b"\x01" + uleb(len(body)) + body)
    )


def bytes_of(kind: str) -> bytes:
    match kind:
        case "noise":
            return os.urandom(1 << 20)
        case "truncated":
            return GUEST.read_bytes()[:100_000]
        case "compile-bomb":
            return compile_bomb()
        case "many-memories":
            return component(*[b"\0asm\x01\0\0\0" + section(5, b"\x01\0" + uleb(65_536))] * 100)
        case guest:
            return (GUESTS / f"{guest.replace('-', '_')}.wasm").read_bytes()


@contextlib.contextmanager
def landing(plugins: Path, content: bytes) -> Iterator[None]:
    """Install a file with this content again and again, each time made different by an empty section at its end."""
    path, stop = plugins / "bad.wasm", threading.Event()

    def land() -> None:
        for n in itertools.count():
            (plugins / "next").write_bytes(content + section(0, b"\x01n" + uleb(n)))
            (plugins / "next").rename(path)
            if stop.wait(BETWEEN):
                return

    thread = threading.Thread(target=land)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        path.unlink()


Beside = Callable[[], contextlib.AbstractContextManager[None]]


def quiet_or_not(server: Server, host: Peer, kind: str | None, beside: Beside, jobs: int, rate: int, seconds: int, hostile: int) -> dict[str, float]:
    """Good jobs at a fixed rate for the latency, then a backlog of them for the throughput. Hostile jobs are among both, or something else runs beside them."""
    with database(server, host) as (dsn, connection), contextlib.ExitStack() as until_end:
        process = host.start(dsn, "--dequeue-timeout", "3600", log_level="ERROR")
        try:
            connection.execute(LOGGED)
            wait_until("the host is up", lambda: logged(connection, "successful") == 1)
            before = resident_mb(process.pid)
            until_end.enter_context(beside())
            started = time.monotonic()
            for n in range(rate * seconds):
                time.sleep(max(0.0, started + n / rate - time.monotonic()))
                connection.execute(LOGGED)
                if kind and n % max(1, int(rate * BETWEEN)) == 0:
                    connection.execute(INSERT, (kind, 1))
            wait_until("the rate is served", lambda: echoes(connection) == 1 + rate * seconds)
            p50, p99 = connection.execute(LATENCY).fetchone()[0]
            if kind:
                connection.execute(INSERT, (kind, hostile))
            started = time.monotonic()
            connection.execute(INSERT, ("echo", jobs))
            wait_until("the backlog is served", lambda: echoes(connection) == 1 + rate * seconds + jobs)
            throughput = jobs / (time.monotonic() - started)
            wait_until("all is over", lambda: connection.execute("SELECT count(*) FROM pgqueuer WHERE status <> 'failed'").fetchone()[0] == 0)
            grown = resident_mb(process.pid) - before
            if process.poll() is not None:
                sys.exit(f"the host is gone:\n{host.log.read_text()}")
            return {"p50": p50, "p99": p99, "throughput": throughput, "grown": grown}
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs in the backlog")
    parser.add_argument("--rate", type=int, default=100, help="good jobs per second")
    parser.add_argument("--seconds", type=int, default=5, help="duration of that rate; a 99th percentile needs some hundred jobs")
    parser.add_argument("--hostile", type=int, default=4, help="hostile jobs beside the backlog")
    parser.add_argument("--only", nargs="*", default=KINDS + FILES, choices=KINDS + FILES, metavar="KIND")
    options = parser.parse_args()
    if not GUEST.exists():
        sys.exit(f"{GUEST} is not there: run 'make bench-hostile'")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "database").mkdir()
        plugins = folder / "plugins"
        plugins.mkdir()
        (plugins / "hostile.wasm").write_bytes(GUEST.read_bytes())
        # The hostile jobs must run: they must not be paused, nor denied the first thing they try.
        config = folder / "pgq-host.toml"
        config.write_text('[circuit-breaker]\ncrashes = 0\n[plugins.hostile]\nenqueue = ["*"]\n')
        server = Server(folder / "database")
        host = Peer("host", [BINARY, "install"], [BINARY, "run", "--plugins", plugins, "--config", config], folder)
        try:
            print("| beside | echo jobs/s | of quiet | p50 ms | p99 ms | memory grown, MB |")
            print("|---|---|---|---|---|---|")
            load = (options.jobs, options.rate, options.seconds, options.hostile)
            for kind in options.only:
                if kind in FILES:
                    content = bytes_of(kind)
                    what, disturbance = f"files: {kind}", (None, lambda: landing(plugins, content))
                else:
                    what, disturbance = f"{options.hostile} x {kind}", (kind, contextlib.nullcontext)
                runs = [(quiet_or_not(server, host, None, contextlib.nullcontext, *load), quiet_or_not(server, host, *disturbance, *load)) for _ in range(options.rounds)]
                median = lambda side, key: statistics.median(run[side][key] for run in runs)
                ratio = statistics.median(run[1]["throughput"] / run[0]["throughput"] for run in runs)
                row = [f"{median(1, 'throughput'):,.0f}", f"{ratio:.2f}", f"{median(1, 'p50'):.1f} (quiet {median(0, 'p50'):.1f})",
                       f"{median(1, 'p99'):.1f} (quiet {median(0, 'p99'):.1f})", f"{median(1, 'grown'):.0f} (quiet {median(0, 'grown'):.0f})"]
                print(f"| {what} |", " | ".join(row), "|", flush=True)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
