#!/usr/bin/env python
"""Causes faults under load, and judges the result with an oracle outside the queue: `make chaos`.

Exits with 1 if a job was lost, left undone, successful twice, had the effects of its outcome more or less than once, was written by a worker that no longer held it, taken from a live worker, or
held although no run of it failed, or if a host did not stop in time. Prints the seed: the same seed causes the same faults, at times
that depend on the machine.
"""

import argparse
import asyncio
import contextlib
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback

from fleet import Fleet
from oracle import Figures, judge
from runs import RUNS
from server import Server

ROOT = pathlib.Path(__file__).resolve().parents[2]
FAKETIME = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class LiedTo(Server):
    """A server whose clock the driver controls."""

    def __init__(self, folder: pathlib.Path, port: int):
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.offset = folder.parent / "offset"
        self.offset.write_text("+0\n", encoding="utf-8")
        env = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(self.offset), "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        super().__init__(folder, port, env=env)

    def clock(self, offset: str) -> None:
        self.offset.write_text(offset + "\n", encoding="utf-8")


@contextlib.asynccontextmanager
async def server_for(run: str, folder: pathlib.Path):
    """The server for a run. None if this machine lacks what the run needs."""
    place, mounted = folder / "postgres", False
    if run == "clock" and FAKETIME is None:
        yield None, "there is no libfaketime here ('apt-get install libfaketime')"
        return
    if run == "disk-full":
        place.mkdir(parents=True)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", place], stderr=subprocess.DEVNULL, check=False).returncode == 0
        if not mounted:
            yield None, "a small tmpfs cannot be mounted here (it takes root)"
            return
    if run == "disk-full":
        server = Server(place, free_port(), extra={"max_wal_size": "48MB", "min_wal_size": "32MB"})
    else:
        server = LiedTo(place, free_port()) if run == "clock" else Server(place, free_port())
    try:
        await server.make()
        yield server, None
    finally:
        with contextlib.suppress(Exception):
            server.pause(False)
        await server.stop("immediate")
        if mounted:
            subprocess.run(["umount", "-l", place], check=False)


async def fault_run(run: str, args: argparse.Namespace, folder: pathlib.Path, seconds: float) -> Figures | None:
    async with server_for(run, folder) as (server, lacking):
        if lacking:
            print(f"SKIPPED {run}: {lacking}", flush=True)
            return None
        fleet = Fleet(
            server=server, database="chaos", folder=folder / "workers", binary=args.binary, plugins=folder.parent / ("plugins-money" if run == "money" else "plugins"),
            cache=str(folder.parent / "code"), lease=args.lease, seed=f"{args.seed}/{run}",
        )  # fmt: skip
        fleet.seconds, fleet.stuck_runs = seconds, []
        try:
            await RUNS[run](fleet, time.time() + seconds)
            await fleet.settle(args.patience)
            await fleet.stop()
            figures = await judge(fleet)
            figures.stuck = figures.stuck + fleet.stuck_runs
            return figures
        finally:
            await fleet.close()


HEAD = ("fault run", "seed", "seconds", "jobs", "lost", "undone", "twice", "effects", "unfenced", "taken", "held", "stuck", "ran again", "recovery p50", "max")


def row(run: str, seed: object, seconds: float, figures: Figures) -> str:
    p50, worst = figures.percentile()
    numbers = [figures.jobs, *(len(getattr(figures, name)) for name in Figures.WRONG), figures.again]
    return "| " + " | ".join([run, str(seed), f"{seconds:.0f}", *map(str, numbers), f"{p50:.1f} s", f"{worst:.1f} s"]) + " |"


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", help=f"of {', '.join(RUNS)}; default: all")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/pgq-host")
    parser.add_argument("--guests", type=pathlib.Path, default=ROOT / "target/guests/wasm32-wasip2/release", help="where chaos.wasm, money.wasm and teller.wasm are")
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("CHAOS_SECONDS", "600")), help="seconds of faults, shared by all runs")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("CHAOS_SEED") or random.randrange(1_000_000)))
    parser.add_argument("--lease", type=float, default=6, help="--heartbeat-timeout of all workers")
    parser.add_argument("--patience", type=float, default=90, help="seconds to finish the remaining jobs after the faults of a run")
    parser.add_argument("--keep", action="store_true", help="keep logs and data")
    args = parser.parse_args()
    unknown = set(args.runs) - set(RUNS)
    if unknown:
        parser.error(f"no such run: {', '.join(sorted(unknown))}")
    names = args.runs or list(RUNS)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pgq-chaos-"))
    folder.chmod(0o755)
    for plugins, guests in (("plugins", ("chaos",)), ("plugins-money", ("money", "teller"))):
        (folder / plugins).mkdir()
        for guest in guests:
            shutil.copy(args.guests / f"{guest}.wasm", folder / plugins)
    args.binary = args.binary.resolve()
    print(f"seed {args.seed} (CHAOS_SEED={args.seed} repeats it), lease {args.lease:g} s, {args.binary}", flush=True)
    total, table, broken, began = Figures(), [], False, time.time()
    for number, run in enumerate(names):
        print(f"{run}:", flush=True)
        started = time.time()
        try:
            figures = await fault_run(run, args, folder / f"{number}-{run}", args.seconds / len(names))
        except Exception:  # noqa: BLE001: the next run may show more
            traceback.print_exc()
            broken = True
            continue
        if figures is None:
            continue
        for what, which in figures.wrong().items():
            print(f"  {what}: {len(which)}, of which {which[:5]}", flush=True)
        if figures.by_python:
            print(f"  by Python's writes, which have no fence: {figures.by_python}", flush=True)
        table.append(row(run, args.seed, time.time() - started, figures))
        print(table[-1], flush=True)
        total.add(figures)
    print("\n| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    print("\n".join([*table, row("total", args.seed, time.time() - began, total)]), flush=True)
    failed = broken or bool(total.wrong())
    if args.keep or failed:
        print(f"logs are in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
