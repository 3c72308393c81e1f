"""What a hostile guest costs the jobs beside it: throughput, latency, the host's memory. Run by `make bench-hostile`.

For each way to misbehave (tests/guests/hostile), in turn with a quiet run: jobs of `echo` come at a fixed rate while hostile jobs come
too, on one host with its defaults. A column is the median of the rounds.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from drain import BINARY, ROOT, Peer, Server, database, logged, resident_mb, wait_until

GUEST = ROOT / "target/guests/wasm32-wasip2/release/hostile.wasm"
KINDS = ["panics", "spin", "spin_in_calls", "hog", "recurse", "sleep_for_ever", "log_flood", "output_flood", "enqueue_flood", "handle_leak", "exits"]
INSERT = "INSERT INTO pgqueuer (priority, entrypoint, payload, status) SELECT 0, %s, 'x', 'queued' FROM generate_series(1, %s)"
LATENCY = """
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM done.created - queue.created) * 1000)
FROM pgqueuer_log AS done JOIN pgqueuer_log AS queue USING (job_id)
WHERE done.status = 'successful' AND queue.status = 'queued' AND done.entrypoint = 'echo'
"""
# As PgQueuer's client does: without the log row there is no time to start from.
LOGGED = """
WITH new AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, status) VALUES (0, 'echo', 'x', 'queued') RETURNING id
) INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint) SELECT id, 'queued', 0, 'echo' FROM new
"""


def echoes(connection) -> int:
    """Good jobs that are done; some of the hostile ones end well, too."""
    return connection.execute("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful' AND entrypoint = 'echo'").fetchone()[0]


def quiet_or_not(server: Server, host: Peer, kind: str | None, jobs: int, rate: int, hostile: int) -> dict[str, float]:
    """Good jobs at a rate for the latency, then a backlog of them for the throughput; hostile ones among both."""
    with database(server, host) as (dsn, connection):
        process = host.start(dsn, "--dequeue-timeout", "3600", log_level="ERROR")
        try:
            connection.execute(LOGGED)
            wait_until("the host is up", lambda: logged(connection, "successful") == 1)
            before = resident_mb(process.pid)
            started = time.monotonic()
            for n in range(rate * 2):
                time.sleep(max(0.0, started + n / rate - time.monotonic()))
                connection.execute(LOGGED)
                if kind and n % (rate * 2 // hostile) == 0:
                    connection.execute(INSERT, (kind, 1))
            wait_until("the rate is served", lambda: echoes(connection) == 1 + rate * 2)
            p50, p99 = connection.execute(LATENCY).fetchone()[0]
            if kind:
                connection.execute(INSERT, (kind, hostile))
            started = time.monotonic()
            connection.execute(INSERT, ("echo", jobs))
            wait_until("the backlog is served", lambda: echoes(connection) == 1 + rate * 2 + jobs)
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
    parser.add_argument("--jobs", type=int, default=10_000, help="in the backlog")
    parser.add_argument("--rate", type=int, default=100, help="good jobs a second, for two seconds")
    parser.add_argument("--hostile", type=int, default=4, help="hostile jobs beside each")
    parser.add_argument("--only", nargs="*", default=KINDS)
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
        # What is hostile here is to run: not to be paused, and not to be refused at the first thing it tries.
        config = folder / "pgq-host.toml"
        config.write_text('[circuit-breaker]\ncrashes = 0\n[plugins.hostile]\nenqueue = ["*"]\n')
        server = Server(folder / "database")
        host = Peer("host", [BINARY, "install"], [BINARY, "run", "--plugins", plugins, "--config", config], folder)
        try:
            print("| beside | echo jobs/s | of quiet | p50 ms | p99 ms | memory grown, MB |")
            print("|---|---|---|---|---|---|")
            for kind in options.only:
                runs = [(quiet_or_not(server, host, None, options.jobs, options.rate, options.hostile),
                         quiet_or_not(server, host, kind, options.jobs, options.rate, options.hostile)) for _ in range(options.rounds)]
                median = lambda side, key: statistics.median(run[side][key] for run in runs)
                ratio = statistics.median(run[1]["throughput"] / run[0]["throughput"] for run in runs)
                row = [f"{median(1, 'throughput'):,.0f}", f"{ratio:.2f}", f"{median(1, 'p50'):.1f} (quiet {median(0, 'p50'):.1f})",
                       f"{median(1, 'p99'):.1f} (quiet {median(0, 'p99'):.1f})", f"{median(1, 'grown'):.0f} (quiet {median(0, 'grown'):.0f})"]
                print(f"| {options.hostile} x {kind} |", " | ".join(row), "|", flush=True)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
