"""The faults of workers and of the database. Each records in the driver's book what it did to whom, and for how long."""

import asyncio
import contextlib
import datetime
import json
import os
import signal
import time

from fleet import LOST_CONNECTION, Fleet
from workers import Worker


def pick(fleet: Fleet) -> Worker:
    return fleet.random.choice([worker for worker in fleet.workers if not worker.frozen])


async def kill(fleet: Fleet, worker: Worker) -> None:
    held = await fleet.held_by(worker)
    worker.kill()
    fleet.wait_for(held)
    await asyncio.sleep(fleet.random.uniform(0, 3))
    await worker.restart()


async def freeze(fleet: Fleet, worker: Worker) -> None:
    held = await fleet.held_by(worker)
    trouble = worker.trouble()
    worker.freeze(True)
    await asyncio.sleep(fleet.random.uniform(0.2, 2.2) * fleet.lease)
    fleet.wait_for(held)
    worker.freeze(False)
    trouble[1] = time.time()


async def cut(fleet: Fleet, worker: Worker) -> None:
    """All connections are reset, and new ones work at once, so nothing may be lost."""
    fleet.wait_for(await fleet.held_by(worker))
    fleet.unhears(worker)[1] = time.time() + 0.5
    worker.proxy.cut()
    if worker.python:
        fleet.python_is_lost()


async def silence(fleet: Fleet, worker: Worker) -> None:
    """The connections are half-open for a while, then either reset or resumed."""
    held = await fleet.held_by(worker)
    trouble, unheard = worker.trouble(), fleet.unhears(worker)
    worker.proxy.silence()
    await asyncio.sleep(fleet.random.uniform(0.2, 2.2) * fleet.lease)
    fleet.wait_for(held)
    if fleet.random.random() < 0.5:
        worker.proxy.cut()
    else:
        worker.proxy.resume()
    trouble[1] = time.time()
    unheard[1] = time.time() + 0.5


async def swallow(fleet: Fleet, worker: Worker) -> None:
    """The connections stay half-open, which the worker has to detect. If it does within half a lease, it loses nothing."""
    fleet.wait_for(await fleet.held_by(worker))
    trouble = worker.trouble()
    fleet.unhears(worker)[1] = time.time() + 0.5
    worker.proxy.swallow()
    await asyncio.sleep(fleet.lease)
    trouble[1] = time.time() + 3 * fleet.lease


async def away(fleet: Fleet) -> None:
    """The server is down for longer than a lease."""
    held = await fleet.held_by()
    unheard = fleet.unhears()
    await fleet.server.stop(fleet.random.choice(("fast", "immediate")))
    await asyncio.sleep(fleet.random.uniform(1.2, 2) * fleet.lease)
    await fleet.server.start()
    unheard[1] = time.time()
    fleet.python_is_lost()
    fleet.wait_for(held)


async def unreachable(fleet: Fleet) -> None:
    """The network fails for all workers, and returns for all at once."""
    held = await fleet.held_by()
    unheard = fleet.unhears()
    for worker in fleet.workers:
        worker.proxy.refusing = True
        worker.proxy.silence()
    await asyncio.sleep(fleet.random.uniform(1.2, 2) * fleet.lease)
    unheard[1] = time.time() + 0.5
    fleet.wait_for(held)
    fleet.python_is_lost()
    for worker in fleet.random.sample(fleet.workers, len(fleet.workers)):
        worker.proxy.refusing = False
        worker.proxy.cut()


async def stall(fleet: Fleet) -> None:
    """The server is suspended for longer than a lease, then executes everything that it was sent."""
    held = await fleet.held_by()
    unheard = fleet.unhears()
    fleet.server.pause(True)
    await asyncio.sleep(fleet.random.uniform(1.2, 2) * fleet.lease)
    fleet.server.pause(False)
    unheard[1] = time.time()
    fleet.python_is_lost()
    fleet.wait_for(held)


async def lock(fleet: Fleet) -> None:
    """Every write to the queue waits for most of a lease, as during a migration. Jobs are ready to be claimed right after it."""
    with contextlib.suppress(*LOST_CONNECTION):
        connection, notifier = await fleet.server.connect(fleet.database), await fleet.server.connect(fleet.database)
        async with connection.transaction():
            await connection.execute("LOCK TABLE pgqueuer IN SHARE ROW EXCLUSIVE MODE")
            held = [row["id"] for row in await connection.fetch("SELECT id FROM pgqueuer WHERE status = 'picked'")]
            held += await fleet.enqueue(["work"] * 60, connection, ms=int(fleet.lease * 600))
            event = {"channel": "ch_pgqueuer", "operation": "insert", "table": "pgqueuer", "type": "table_changed_event"}
            event["sent_at"] = datetime.datetime.now(datetime.UTC).isoformat()
            await notifier.execute("SELECT pg_notify('ch_pgqueuer', $1)", json.dumps(event))
            await asyncio.sleep(fleet.random.uniform(0.75, 0.95) * fleet.lease)
        fleet.wait_for(held)
        await connection.close()
        await notifier.close()


async def end_sessions(fleet: Fleet) -> None:
    """Some sessions of handlers are ended by the server, whatever they are doing."""
    connection = await fleet.server.connect(fleet.database)
    await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'teller' AND random() < 0.5")
    await connection.close()


async def crash(fleet: Fleet) -> None:
    """SIGKILL of a server process: the server ends all sessions and recovers."""
    unheard = fleet.unhears()
    connection = await fleet.server.connect(fleet.database)
    pid = await connection.fetchval("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1")
    held = await fleet.held_by()
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(*LOST_CONNECTION):
        await connection.close(timeout=5)
    await (await fleet.server.connect(fleet.database)).close()
    unheard[1] = time.time() + 0.5
    fleet.wait_for(held)


async def reboot(fleet: Fleet) -> None:
    """The server is stopped without a checkpoint, and started again."""
    held = await fleet.held_by()
    unheard = fleet.unhears()
    await fleet.server.stop("immediate")
    await fleet.server.start()
    unheard[1] = time.time() + 0.5
    fleet.wait_for(held)


ONE_WORKER = (kill, freeze, cut, silence, swallow)
ALL_WORKERS = (away, unreachable, stall, lock)
