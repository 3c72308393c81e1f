"""Writes the results of drain.py as a page (docs/benchmarks.md) and a chart (docs/benchmarks.svg)."""

import datetime
import os
import platform
import statistics
from dataclasses import dataclass
from html import escape
from pathlib import Path

WORKER_CPU = "CPU s per 1,000 jobs: worker"
SERVER_CPU = "CPU s per 1,000 jobs: PostgreSQL"
BOTH_CPU = "CPU s per 1,000 jobs: both"


@dataclass
class Run:
    """The figures by peer and by measurement, one per round. `claims` has the format of `pgq-host bench --json`."""

    names: list[str]
    figures: dict[str, dict[str, list[float]]]
    claims: list[dict]
    rounds: int
    jobs: int
    latency_jobs: int
    versions: dict[str, str]

    def median(self, name: str, what: str) -> float | None:
        values = self.figures[name].get(what)
        return statistics.median(values) if values else None

    @property
    def ours(self) -> list[str]:
        return [name for name in self.names if name.startswith("pgq-host")]


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def markdown(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], ["---"] * len(lines[0]), *lines[1:]])


def table(run: Run) -> str:
    """Medians with their range."""
    lines = [["median [min-max]", *run.names]]
    for what in dict.fromkeys(what for name in run.names for what in run.figures[name]):
        measured = [run.figures[name].get(what) for name in run.names]
        lines.append([what, *(f"{number(statistics.median(v))} [{number(min(v))}-{number(max(v))}]" if v else "" for v in measured)])
    return markdown(lines)


def ratios(run: Run) -> str:
    """The medians of pgq-host as a multiple of those of each other peer."""
    figures = list(dict.fromkeys(what for name in run.names for what in run.figures[name]))
    rows = []
    for ours, other in ((ours, other) for ours in run.ours for other in run.names if other not in run.ours):
        medians = [(run.median(ours, what), run.median(other, what)) for what in figures]
        rows.append([f"{ours} / {other}", *(f"{mine / theirs:.2f}" if mine and theirs else "" for mine, theirs in medians)])
    # Figures that no other peer has, such as the start of the process, have no ratio.
    kept = [0, *(column for column in range(1, len(figures) + 1) if any(row[column] for row in rows))]
    return markdown([[line[column] for column in kept] for line in [["ratio of medians", *figures], *rows]])


def claims(run: Run) -> str:
    lines = [["queue", "claims", "p50 ms", "p99 ms", "p99 of the empty queue", "ratio"]]
    for row in run.claims:
        if "p99_to_empty" not in row:
            continue
        what, kind = row["case"].split(", ", 1)
        ratio = row["p99_to_empty"]
        lines.append([what, kind, number(row["p50_ms"]), number(row["p99_ms"]), number(row["p99_ms"] / ratio), f"{ratio:.2f}"])
    return markdown(lines)


def beside(run: Run) -> str:
    lines = [["queue", "jobs/s", "CPU s per 1,000 jobs: hosts", "PostgreSQL", "WAL bytes per job"]]
    for row in run.claims:
        if row["case"].endswith(", jobs"):
            names = ["jobs_per_second", "host_cpu_s_per_1000_jobs", "postgres_cpu_s_per_1000_jobs", "wal_bytes_per_job"]
            lines.append([row["case"].removesuffix(", jobs"), *(number(row[name]) if row.get(name) else "" for name in names)])
    return markdown(lines)


def machine() -> str:
    cpu = next((line.partition(":")[2].strip() for line in lines("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    memory = next((int(line.split()[1]) / (1 << 20) for line in lines("/proc/meminfo") if line.startswith("MemTotal:")), None)
    size = f", {memory:.0f} GiB of memory" if memory else ""
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return f"{cpu or platform.machine()}, {os.cpu_count()} cores{size}; {platform.system()} {platform.release()}; load average at the end {load}"


def lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def page(run: Run) -> str:
    peers = "\n".join(f"| {name} | {version} |" for name, version in run.versions.items())
    masses = f"""
## Beside masses of rows

The time of a claim of ten jobs, in two kinds of queue: one with masses of other rows, or of jobs
that the claim wants as well, and one with nothing but the ten. It is the time of the worker's own
statement, including its commit. "limited" is an entrypoint with a limit over all workers. In
"limited" beside running jobs, each running job has one of its slots. In "limited, others run", the
slots are another entrypoint's.

{claims(run)}

{run.jobs:,} jobs run by one host beside them:

{beside(run)}

`pgq-host bench backlog future in-flight wide` measures this anywhere.
[cli.md](cli.md#bench-scenario) has the details.
""" if run.claims else ""
    return f"""# Benchmarks

<!-- Written by `make bench` (benchmarks/report.py): change that, not this. -->

Measured on {datetime.date.today().isoformat()}; {run.rounds} round{'s' if run.rounds > 1 else ''} of {run.jobs:,} jobs that do nothing, one worker process, PostgreSQL on the same cores.

![Jobs per second, processor time and waits, as bars](benchmarks.svg)

{table(run)}

{ratios(run)}

## Machine

{machine()}.

| | version |
|---|---|
{peers}

## Method

Each round measures each peer once, in turn, each time in a new database on a server that the run
starts and stops. A machine that is busy with something else slows all of them down, although not
equally. Believe the ratios of one run, and never compare absolute figures of two. Each job is
accounted for: the run ends with an error unless every job ran once.

- **Peers.** PgQueuer: `pgq run` with asyncpg and a handler that does nothing, with its default
  batch of 10 and with one of 500. graphile-worker: a task that does nothing, with the configuration
  of its page about performance: 24 jobs at a time, `localQueue` of 500, `completeJobBatchDelay` and
  `failJobBatchDelay` 0. graphile_worker: a native task in Rust that does nothing, 24 at a time, a
  local queue of 500, and batch delays of 5 ms, as in its documentation. pg-boss: a handler that does
  nothing with two batches of 500 at a time, fetched while they come full, woken by notifications.
  River: its client in Rust with a native worker that does nothing, 2,000 at a time, and fetches 2 ms
  apart, as in its own benchmark. pgq-host: `run` with all defaults, and a Rust plugin that reads
  its payload and returns, in a new instance for every job ("fresh") or in instances that are kept
  ("reuse"); "no history" is `--history none`.
- **What each keeps.** PgQueuer and pgq-host log every transition of a job. River and pg-boss keep
  the row of a completed job for a day or a week, with the times of its last attempt. graphile-worker
  (Node and Rust) and pgq-host with `--history none` keep nothing. That is most of the difference in
  WAL.
- **jobs/s**: from the first claim to the last recorded outcome, by the log's times. The others have
  no log: from the first call of the task until all rows are completed or gone and the worker has
  stopped; for pgq-host without history, from `ready` to `stopped`.
- **CPU**: processor time of the worker from its start to its exit (`wait4`), start included, and of
  all processes of PostgreSQL over the same time.
- **WAL**: the difference of the log's end position, after a checkpoint. Counting the log into the
  statistics, which PgQueuer and pgq-host do about every 30 s, is hardly included.
- **ms until**: {run.latency_jobs} single jobs a round at an idle worker, 100 a second, from the
  beginning of the INSERT's transaction. `claimed` is the beginning of the claim's transaction; for
  peers without a log, the call of the task, which comes a little later. `done` is the beginning
  of the transaction that records the outcome.
- **RSS**: `peak` at the end of the drain, never less than what the run itself had when it started
  the process (36 MB); `idle` of a worker that has run one job.

`make bench` repeats this and writes this page. benchmarks/README.md has its options and the other
measurements.
{masses}"""


# Wide enough for the longest name on the left and a figure on the right of a full bar.
WIDTH, LEFT, BAR, ROW, GAP = 800, 240, 440, 24, 50
STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #1f2328 }
    .title { font-weight: 600; font-size: 14px }
    .note { fill: #59636e }
    .ours { fill: #0969da } .other { fill: #8c959f } .server { opacity: .45 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .note { fill: #9198a1 } .ours { fill: #4493f8 } .other { fill: #767e88 }
    }
"""


def chart(run: Run) -> str:
    """Bars, in colours that suit light and dark backgrounds."""
    drawing, y = [], 24
    panels = [
        ("Jobs per second", "more is better", [(name, [run.median(name, "jobs/s")], name in run.ours) for name in run.names]),
        (
            "Processor seconds per 1,000 jobs",
            "less is better; worker, and PostgreSQL in a lighter shade",
            [(name, [run.median(name, WORKER_CPU), run.median(name, SERVER_CPU)], name in run.ours) for name in run.names],
        ),
        (
            "Milliseconds until a single job is claimed, p99",
            "less is better; an idle worker, 100 jobs a second",
            [(name, [p99], name in run.ours) for name in run.names if (p99 := run.median(name, "ms until claimed: p99"))],
        ),
    ]
    kinds = [row for row in run.claims if "p99_to_empty" in row]
    if kinds:
        bars = [(row["case"].replace(", no limit", ""), [row["p99_to_empty"]], True) for row in kinds]
        panels.append(("p99 of a claim, as a multiple of that of an empty queue", "1 is no difference", bars))
    for title, note, bars in panels:
        drawing.append(f'<text x="8" y="{y}" class="title">{escape(title)}</text>')
        drawing.append(f'<text x="{WIDTH - 8}" y="{y}" class="note" text-anchor="end">{escape(note)}</text>')
        y += 14
        most = max(sum(value or 0 for value in values) for _, values, _ in bars) or 1
        for name, values, ours in bars:
            x = LEFT
            drawing.append(f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
            for value, shade in zip(values, ["", " server"]):
                width = (value or 0) / most * BAR
                drawing.append(f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="{ROW - 8}" class="{"ours" if ours else "other"}{shade}"/>')
                x += width
            drawing.append(f'<text x="{x + 6:.1f}" y="{y + 15}">{number(sum(value or 0 for value in values))}</text>')
            y += ROW
        y += GAP - 14
    height = y - GAP + 30
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
    return "\n".join([head, "<title>pgq-host beside other queues</title>", f"<style>{STYLE}</style>", *drawing, "</svg>\n"])
