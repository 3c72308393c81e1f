"""The fault runs: what is started, which faults it gets, and for how long."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable

import faults
from fleet import Fleet
from workers import Worker

RATE = float(os.environ.get("CHAOS_RATE", "25"))
FEW_PLACES = ("--max-concurrent-tasks", "8")
MANY_PLACES = ("--max-concurrent-tasks", "40")
ALL_AT_ONCE = ("--max-concurrent-tasks", "100", "--batch-size", "100")
# A host that has claimed this many jobs is killed.
MANY = 1


async def one_after_the_other(fleet: Fleet, end: float, which: tuple[Callable, ...], pause: float = 1.0) -> None:
    while time.time() < end:
        fault = fleet.random.choice(which)
        print(f"    {time.time() - (end - fleet.seconds):5.1f} s  {fault.__name__}", flush=True)
        await (fault(fleet, faults.pick(fleet)) if fault in faults.ONE_WORKER else fault(fleet))
        await asyncio.sleep(fleet.random.uniform(0.2, 1) * pause)


def repeated(*which: Callable, hosts: int = 3, pythons: int = 0, pause: float = 1.0, rate: float = RATE, ms: int | None = None, args: tuple = FEW_PLACES) -> Callable[[Fleet, float], Awaitable[None]]:
    async def run(fleet: Fleet, end: float) -> None:
        await fleet.start(hosts, pythons, args)
        fleet.produce(rate, ms)
        await asyncio.sleep(2)
        await one_after_the_other(fleet, end, which, pause)

    return run


async def killed_when_it_claims(fleet: Fleet, host: Worker, times: int, end: float) -> None:
    """Kill the host when its jobs have barely started. It is watched over a separate connection, in a tight loop."""
    connection = await fleet.server.connect(fleet.database)
    for _ in range(times):
        held: list[int] = []
        while len(held) < MANY and time.time() < end:
            await fleet.until(lambda: host.pid in {pid for _, pid in fleet.ids.values()}, 1)
            uuid = next((uuid for uuid, (_, pid) in fleet.ids.items() if pid == host.pid), None)
            rows = await connection.fetch("SELECT id FROM pgqueuer WHERE status = 'picked' AND queue_manager_id::text = $1", uuid)
            held = [row["id"] for row in rows]
            if not held and not await connection.fetchval("SELECT count(*) FROM pgqueuer WHERE status IN ('queued', 'picked')"):
                break
        if not held:
            break
        host.kill()
        fleet.wait_for(held)
        await host.restart()
    await connection.close()


async def crash_loop(fleet: Fleet, end: float) -> None:
    """A host that is killed whenever it has claimed jobs, beside a healthy one."""
    await fleet.start(2, args=ALL_AT_ONCE)
    await fleet.enqueue(["work"] * 150 + ["last"] * 150, ms=1000)
    await killed_when_it_claims(fleet, fleet.workers[0], 12, end + 60)


async def killed_at_claim(fleet: Fleet, end: float) -> None:
    """A single host with 100 jobs that is killed six times right after claiming them."""
    await fleet.start(1, args=ALL_AT_ONCE)
    await fleet.enqueue(["work"] * 100, ms=1000)
    await killed_when_it_claims(fleet, fleet.workers[0], 6, end + 90)


async def killers(fleet: Fleet, end: float) -> None:
    """Two jobs among 300 kill any worker that starts them."""
    await fleet.start(3, args=("--max-concurrent-tasks", "30", "--batch-size", "100"))
    restarts: dict[str, asyncio.Task] = {}

    def hook(effect) -> None:
        worker = next(worker for worker in fleet.workers if worker.name == effect.worker)
        # Both killers may start on one host at the same moment: it dies once, and one host replaces it.
        is_dead = worker.name in restarts and not restarts[worker.name].done()
        if effect.what == "begin" and effect.job in fleet.killers and worker.runs and not is_dead:
            ended = {effect.job for effect in fleet.receiver.effects if effect.what == "end"}
            near = {begun.job for begun in fleet.receiver.effects if begun.worker == worker.name} - ended - fleet.killers
            worker.kill()
            fleet.wait_for(sorted(near))
            restarts[worker.name] = asyncio.create_task(worker.restart())

    fleet.receiver.hook = hook
    await fleet.enqueue(["work"] * 100 + ["last"] * 50, ms=2000)
    fleet.killers |= set(await fleet.enqueue(["work", "last"], ms=2000))
    await fleet.enqueue(["work"] * 100 + ["last"] * 50, ms=2000)
    connection = await fleet.server.connect(fleet.database)
    while time.time() < end + 60:
        left = await connection.fetchval("SELECT count(*) FROM pgqueuer WHERE status IN ('queued', 'picked')")
        if left == 0:
            break
        await asyncio.sleep(0.5)
    # Not forever: jobs that are still there are reported as undone.
    if left:
        fleet.killers.clear()
    await connection.close()
    await asyncio.gather(*restarts.values())


async def stopped(fleet: Fleet, end: float) -> None:
    """Hosts are told to stop while the database is silent, locked or down. They still stop in time, and their jobs run elsewhere."""
    await fleet.start(3)
    fleet.produce(RATE)
    while time.time() < end:
        await asyncio.sleep(2)
        worker = fleet.random.choice(fleet.workers)
        held = await fleet.held_by(worker)
        fault = fleet.random.choice((faults.lock, faults.silence, faults.swallow))
        print(f"    stop while {fault.__name__}", flush=True)
        under_way = asyncio.create_task(fault(fleet) if fault is faults.lock else fault(fleet, worker))
        await asyncio.sleep(0.5)
        began = time.time()
        if not await worker.stop():
            fleet.stuck_runs.append(f"{worker.name} at {began:.0f}")
        worker.trouble()
        worker.killed[worker.pid] = began
        await under_way
        fleet.wait_for(held)
        await worker.restart()


async def clock(fleet: Fleet, end: float) -> None:
    """The server's clock jumps an hour ahead, and back."""
    await fleet.start(3)
    # Long jobs: their leases are suddenly an hour old.
    fleet.produce(3, 9000)
    await asyncio.sleep(3)
    while time.time() < end:
        for offset in ("+3600", "+0"):
            print(f"    clock {offset}", flush=True)
            fleet.server.clock(offset)
            await asyncio.sleep(fleet.random.uniform(1, 2) * fleet.lease)


async def disk_full(fleet: Fleet, end: float) -> None:
    """The server's disk is full for a while."""
    await fleet.start(3)
    fleet.produce(RATE)
    while time.time() < end:
        await asyncio.sleep(2)
        # First of all: a server that cannot write its write-ahead log may end, and answer nobody.
        held = await fleet.held_by()
        filler = fleet.server.folder / "filler"
        with contextlib.suppress(OSError), open(filler, "wb") as file:
            while True:
                file.write(b"\0" * (1 << 16))
                file.flush()
        fleet.unhears()[1] = time.time() + 3 * fleet.lease
        print("    full", flush=True)
        await asyncio.sleep(fleet.random.uniform(0.5, 1.5) * fleet.lease)
        filler.unlink()
        with contextlib.suppress(RuntimeError):
            await fleet.server.start()
        fleet.wait_for(held)


async def money(fleet: Fleet, end: float) -> None:
    """Handlers move money in the database, while hosts, their sessions and the server are killed."""
    fleet.money = True
    await fleet.start(2, args=("--max-concurrent-tasks", "20", "--sql-sessions", "10"))
    fleet.pay(500)
    await one_after_the_other(fleet, end, (faults.kill, faults.freeze, faults.cut, faults.end_sessions, faults.end_sessions, faults.crash, faults.reboot), pause=4)


RUNS: dict[str, Callable[[Fleet, float], Awaitable[None]]] = {
    "kill": repeated(faults.kill),
    "freeze": repeated(faults.freeze),
    "network": repeated(faults.cut, faults.silence, faults.swallow),
    "away": repeated(faults.away, faults.unreachable, hosts=7, pause=8),
    "stall": repeated(faults.stall, pause=8, rate=3, ms=9000),
    "lock": repeated(faults.lock, pause=6, rate=5, args=MANY_PLACES),
    "crash-loop": crash_loop,
    "killed-at-claim": killed_at_claim,
    "killers": killers,
    "money": money,
    "stopped": stopped,
    "clock": clock,
    "disk-full": disk_full,
    "mixed": repeated(*faults.ONE_WORKER, *faults.ALL_WORKERS, hosts=3, pythons=2),
}
