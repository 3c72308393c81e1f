"""What traces cost: the same jobs without them, and with a share of them sampled. Run by `make bench-traces`.

Rounds are interleaved, and each compares with the `off` of its own round; a row shows the medians. `off, again` is `off` once more: how far it is
from 1 is what this machine's noise makes of no difference. Spans go to a collector in this process that takes them and does nothing.
"""

import argparse
import http.server
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from pathlib import Path

from drain import BINARY, PLUGIN, Peer, Server, drain


class Collector(http.server.ThreadingHTTPServer):
    """Takes whatever comes, and counts the requests."""

    daemon_threads = True
    requests = 0

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.server.requests += 1
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Collector.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Traced(Peer):
    """A host with these variables."""

    def __init__(self, name: str, variables: dict[str, str], *arguments: object) -> None:
        super().__init__(name, *arguments)
        self.variables = variables

    def start(self, dsn: str, *arguments: str, log_level: str = "WARNING") -> subprocess.Popen:
        # The variables of this process are those of the host, but for those of the database.
        before = {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
        for name in before:
            del os.environ[name]
        os.environ.update(self.variables)
        try:
            return super().start(dsn, *arguments, log_level=log_level)
        finally:
            for name in self.variables:
                del os.environ[name]
            os.environ.update(before)


def peers(folder: Path, endpoint: str) -> list[Traced]:
    plugins = folder / "plugins"
    plugins.mkdir()
    shutil.copy(PLUGIN, plugins)
    host = [[BINARY, "install"], [BINARY, "run", "--plugins", plugins], folder]
    on = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "1000"}

    def sampled(share: str) -> dict[str, str]:
        return on | {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": share}

    kinds = {"off": {}, "off, again": {}, "only failed and slow": sampled("0"), "10 %": sampled("0.1"), "all": sampled("1")}
    return [
        Traced(f"{instances}: {kind}", variables, *host, f"noop_{instances}")
        for instances in ("fresh", "kept")
        for kind, variables in kinds.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds, interleaved [5]")
    parser.add_argument("--jobs", type=int, default=100_000, help="jobs drained in each round [100000]")
    options = parser.parse_args()
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    collector = Collector()
    with tempfile.TemporaryDirectory(prefix="pgq-bench-") as folder:
        os.chmod(folder, 0o755)
        home = Path(folder) / "pg"
        home.mkdir(mode=0o700)
        contenders = peers(Path(folder), collector.endpoint)
        server = Server(home)
        try:
            for peer in contenders:
                drain(server, peer, 100)
            for round in range(options.rounds):
                # Every second round backwards, so that nobody always comes first.
                for peer in contenders if round % 2 == 0 else reversed(contenders):
                    print(f"round {round + 1} of {options.rounds}: {peer.name}", file=sys.stderr)
                    for what, value in drain(server, peer, options.jobs).items():
                        figures[peer.name][what].append(value)
        finally:
            server.stop()
    if not collector.requests:
        sys.exit("the collector got nothing: the hosts were not traced")
    columns = list(next(iter(figures.values())))
    print("| | " + " | ".join(f"{column}, of off" for column in columns) + " |\n|" + "---|" * (len(columns) + 1))
    for name, measured in figures.items():
        base = figures[f"{name.split(':')[0]}: off"]
        ratios = [
            statistics.median(value / off for value, off in zip(measured[column], base[column], strict=True) if off) if any(base[column]) else 1.0
            for column in columns
        ]
        print(f"| {name} | " + " | ".join(f"{ratio:.3f}" for ratio in ratios) + " |")


if __name__ == "__main__":
    main()
