"""Measures handlers in each language, beside PgQueuer's own Python worker, in one run. Run by `make bench-languages`.

Takes the components that the tests of `languages` have left in target/tmp/languages. Prints a Markdown table. CPU seconds are those of
all processes together, so another machine's load changes them less than it changes the clock.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from drain import BINARY, PLUGIN, ROOT, WORKER_CPU, Peer, drain
from weak_points import a_server

PLUGINS = ROOT / "target/tmp/languages"
LANGUAGES = {"Rust": None, "C": ("c", "c"), "Go": ("go", "go"), "JavaScript": ("js", "js"), "Python": ("python", "py")}
PRIMES = b'{"below": 100000}'


def spent(command: list[object], folder: Path, environment: dict[str, str] | None = None) -> tuple[float, float]:
    """CPU seconds of a command and its children, and seconds by the clock."""
    start = time.monotonic()
    child = subprocess.Popen([str(word) for word in command], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{command} failed:\n{said.decode(errors='replace')[-2000:]}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - start


def build(folder: Path) -> tuple[float, float]:
    """The steps of the plugin's recipe, once they have been run before."""
    recipe = tomllib.loads((folder / "pgq-plugin.toml").read_text())
    path = os.pathsep.join([*(str(folder / entry) for entry in recipe.get("path", [])), os.environ["PATH"]])
    environment = os.environ | recipe.get("env", {}) | {"PATH": path}
    # The program is searched in the caller's PATH otherwise.
    steps = [[shutil.which(step[0], path=path), *step[1:]] for step in recipe["steps"]]
    parts = [spent(step, folder, environment) for step in steps]
    return sum(cpu for cpu, _ in parts), sum(wall for _, wall in parts)


def compiled(binary: Path, file: Path, cache: Path | None = None) -> float:
    """CPU seconds until a host that has never seen the file could serve it with optimised code."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "pgq-host.toml"
        # A busy machine compiles for longer than a host would wait.
        config.write_text('[limits]\ncompile-timeout = "15m"\n')
        return spent([binary, "plugin", "inspect", "--compile", "--config", config, "--cache-dir", cache or Path(folder) / "code", file], ROOT)[0]


def once(binary: Path, folder: Path, file: Path, entrypoint: str) -> dict:
    said = subprocess.run([binary, "plugin", "run", file, "--entrypoint", entrypoint, "--payload", "x", "--json", "--cache-dir", folder / "code"], capture_output=True, check=True)
    return json.loads(said.stdout)


class Primes(Peer):
    """Jobs that compute."""

    def enqueue(self, connection, jobs: int) -> None:
        connection.execute(
            """WITH new AS (
                   INSERT INTO pgqueuer (priority, entrypoint, payload, status) SELECT 0, %s, %s, 'queued' FROM generate_series(1, %s) RETURNING id
               ) INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint) SELECT id, 'queued', 0, %s FROM new""",
            [self.entrypoint, PRIMES, jobs, self.entrypoint],
        )


def measure(server, peer: Peer, jobs: int, rounds: int) -> tuple[float, float]:
    """Jobs per second, and CPU milliseconds of the worker for each: the median of some rounds."""
    runs = [drain(server, peer, jobs) for _ in range(rounds)]
    return statistics.median(run["jobs/s"] for run in runs), statistics.median(run[WORKER_CPU] for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2000, help="for each rate; a tenth of them compute")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--host", type=Path, default=BINARY, help="another build of pgq-host")
    parser.add_argument("--only", nargs="*", choices=LANGUAGES, help="some of the languages")
    options = parser.parse_args()
    jobs, rounds, binary = options.jobs, options.rounds, options.host.resolve()
    rows = []
    with a_server() as (server, folder):
        plugins = folder / "plugins"
        plugins.mkdir()
        host = [[binary, "install"], [binary, "run", "--plugins", plugins], folder]
        for language, names in LANGUAGES.items():
            if options.only and language not in options.only:
                continue
            name, prefix = names or (None, None)
            file = PLUGIN if name is None else PLUGINS / f"{name}-greet/plugins/{name}_greet.wasm"
            if not file.is_file():
                print(f"SKIPPED: there is no {file}", file=sys.stderr)
                continue
            print(language, file=sys.stderr)
            for old in plugins.iterdir():
                old.unlink()
            shutil.copy(file, plugins)
            fresh, kept = ("noop_fresh", "noop_kept") if name is None else (f"{prefix}-fresh", f"{prefix}-noop")
            # Compiled ahead, as a deployment does: the first start of a host is not what is measured here.
            compile_cpu = compiled(binary, file, folder / "code")
            cells = [f"{file.stat().st_size / 2**20:.1f}"]
            cells += ["-" if name is None else "{:.1f} ({:.1f})".format(*build(PLUGINS / f"{name}-greet"))]
            cells += [f"{compile_cpu:.1f}", f"{once(binary, folder, file, fresh)['memory_bytes'] / 2**20:.1f}"]
            for entrypoint in (fresh, kept):
                rate, cpu = measure(server, Peer(f"{language} {entrypoint}", *host, entrypoint=entrypoint), jobs, rounds)
                cells.append(f"{rate:,.0f} ({cpu:.2f})")
            if name is None:
                cells.append("-")
            else:
                rate, cpu = measure(server, Primes(f"{language} primes", *host, entrypoint=f"{prefix}-primes"), jobs // 10, rounds)
                cells.append(f"{rate:,.0f} ({cpu:.1f})")
            rows.append([language, *cells])
        pgq = [sys.executable, "-m", "pgqueuer"]
        worker = [[*pgq, "install"], [*pgq, "run", "languages_worker:main", "--batch-size", 500], folder]
        rate, cpu = measure(server, Peer("PgQueuer", *worker, entrypoint="noop"), jobs, rounds)
        prime_rate, prime_cpu = measure(server, Primes("PgQueuer primes", *worker, entrypoint="primes"), jobs // 10, rounds)
        rows.append(["PgQueuer's worker, batches of 500", "-", "-", "-", "-", "-", f"{rate:,.0f} ({cpu:.2f})", f"{prime_rate:,.0f} ({prime_cpu:.1f})"])
    print("| | component, MiB | build, CPU s (s) | compile, CPU s | memory of a run, MiB | fresh, jobs/s (CPU ms) | kept, jobs/s (CPU ms) | primes, jobs/s (CPU ms) |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
