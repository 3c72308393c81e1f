"""Handlers that read a row and write it, in pgq-host, PgQueuer and River, in one run on one machine: jobs per second and processor time.

Run by `make bench-sql`. In pgq-host, the rows and the outcome are one transaction. In the others, the handler commits its own, and the outcome follows in another.
The sum of all rows is checked. Prints a table; nothing is written.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import psycopg

from drain import BINARY, PEERS_NODE, PEERS_RUST, RIVER_ADD_JOB, ROOT, Keeping, Peer, Server, drain
from report import BOTH_CPU, SERVER_CPU, WORKER_CPU

GUEST = ROOT / "target/guests/wasm32-wasip2/release/money.wasm"
ACCOUNTS = """
CREATE TABLE account (id bigint PRIMARY KEY, balance bigint NOT NULL);
INSERT INTO account SELECT id, 0 FROM generate_series(1, 1000) id;
GRANT SELECT, UPDATE ON account TO teller;
VACUUM ANALYZE account;
"""


class Bank:
    """A peer whose jobs count up: each has done so once, or the measurement ends."""

    def enqueue(self, connection: psycopg.Connection, jobs: int) -> None:
        for statement in ACCOUNTS.split(";")[:-1]:
            connection.execute(statement)
        self.prepare(connection)
        super().enqueue(connection, jobs)

    def prepare(self, connection: psycopg.Connection) -> None:
        pass

    def drained(self, connection: psycopg.Connection, jobs: int) -> float | None:
        moved = connection.execute("SELECT sum(balance) FROM account").fetchone()[0]
        if moved != jobs:
            sys.exit(f"{self.name}: {jobs} jobs counted to {moved}")
        return super().drained(connection, jobs)


class Python(Bank, Peer):
    pass


class River(Bank, Keeping):
    pass


class Host(Bank, Peer):
    def prepare(self, connection: psycopg.Connection) -> None:
        dsn = f"postgresql:///{connection.info.dbname}?host={connection.info.host}&user={connection.info.user}"
        command = [BINARY, "grant", "postgres", "--handler", "teller", "--apply", "--pg-dsn", dsn]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def peers(folder: Path) -> list[Peer]:
    plugins = folder / "plugins"
    plugins.mkdir()
    shutil.copy(GUEST, plugins)
    config = folder / "pgq-host.toml"
    config.write_text('[plugins.money.sql]\nrole = "teller"\n')
    pgq = [sys.executable, "-m", "pgqueuer"]
    host = [[BINARY, "install"], [BINARY, "run", "--plugins", plugins, "--config", config], folder]
    # Where the peers run, whether or not those of Node are there.
    PEERS_NODE.mkdir(parents=True, exist_ok=True)
    os.environ["BENCH_SQL"] = "1"
    return [
        *(Python(f"PgQueuer, batch {size}", [*pgq, "install"], [*pgq, "run", "counted:main", "--batch-size", size], folder) for size in (10, 500)),
        River("River (Rust)", [PEERS_RUST / "river"], folder, "river_job", RIVER_ADD_JOB),
        Host("pgq-host, fresh", *host, entrypoint="counted_fresh"),
        Host("pgq-host, reuse", *host, entrypoint="counted_kept"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds, interleaved [5]")
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs drained in each round [10000]")
    options = parser.parse_args()
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory(prefix="pgq-bench-") as folder:
        os.chmod(folder, 0o755)
        home = Path(folder) / "pg"
        home.mkdir(mode=0o700)
        contenders = peers(Path(folder))
        server = Server(home)
        try:
            with server.connect("postgres") as connection:
                connection.execute("CREATE ROLE teller LOGIN")
            for peer in contenders:
                drain(server, peer, 100)
            for round in range(options.rounds):
                for peer in contenders:
                    print(f"round {round + 1} of {options.rounds}: {peer.name}", file=sys.stderr)
                    for what, value in drain(server, peer, options.jobs).items():
                        figures[peer.name][what].append(value)
        finally:
            server.stop()
    columns = ["jobs/s", WORKER_CPU, SERVER_CPU, BOTH_CPU, "WAL bytes per job: worker"]
    print("| | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    for name, measured in figures.items():
        shown = (statistics.median(measured[column]) for column in columns)
        print(f"| {name} | " + " | ".join(f"{value:,.0f}" if value >= 100 else f"{value:.3f}" for value in shown) + " |")


if __name__ == "__main__":
    main()
