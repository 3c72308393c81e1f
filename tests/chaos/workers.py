"""Hosts and Python workers as processes, each behind its own proxy, and the driver's record of their faults."""

import asyncio
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

from proxy import Proxy

HERE = pathlib.Path(__file__).parent
DRAIN = 3
# A stop may take the drain timeout plus fifteen seconds, whatever hangs, and this machine may be busy.
STOP_WITHIN = DRAIN + 15 + 10

CONFIG = """[plugins.chaos]
http = ["http://127.0.0.1:{port}"]
enqueue = ["sealed_effect"]
[plugins.chaos.entrypoints.sealed]
claim = "locked"
[plugins.chaos.env]
HOST = "{name}"
RECEIVER = "127.0.0.1:{port}"
"""
# Handlers in the database, one with another way out and one without.
MONEY = """[plugins.money.sql]
role = "teller"
[plugins.teller]
http = ["http://127.0.0.1:{port}"]
[plugins.teller.sql]
role = "teller"
[plugins.teller.env]
HOST = "{name}"
RECEIVER = "127.0.0.1:{port}"
"""


class Worker:
    """A member of the fleet. Its process may be replaced, but its name stays."""

    def __init__(self, fleet, name: str, python: bool, args: list[str]):
        self.fleet, self.name, self.python, self.args = fleet, name, python, args
        self.proxy = Proxy(fleet.server.port)
        self.process: asyncio.subprocess.Process | None = None
        # Times in which a fault kept this worker from renewing its leases: from, to.
        self.troubles: list[list[float]] = []
        self.killed: dict[int, float] = {}
        self.frozen = False
        self.log = open(fleet.folder / f"{name}.log", "ab")  # noqa: SIM115

    async def start(self) -> None:
        if not self.proxy.port:
            await self.proxy.start()
        env = {**os.environ, "PGDSN": self.fleet.server.dsn(self.fleet.database, self.proxy.port), "PGQ_HOST_CACHE_DIR": self.fleet.cache}
        receiver = self.fleet.receiver.port
        lease = str(self.fleet.lease)
        if self.python:
            env |= {"HOST": self.name, "RECEIVER": f"127.0.0.1:{receiver}", "PYTHONPATH": str(HERE)}
            command = [sys.executable, "-m", "pgqueuer", "run", "python_worker:main", "--heartbeat-timeout", lease]
            command += ["--dequeue-timeout", "1", "--restart-on-failure", "--restart-delay", "1"]
        else:
            config = self.fleet.folder / f"{self.name}.toml"
            config.write_text((MONEY if self.fleet.money else CONFIG).format(name=self.name, port=receiver), encoding="utf-8")
            command = [self.fleet.binary, "run", "--plugins", self.fleet.plugins, "--config", config, "--heartbeat-timeout", lease]
            command += ["--drain-timeout", str(DRAIN), "--dequeue-timeout", "5", *self.args]
        self.process = await asyncio.create_subprocess_exec(
            *map(str, command), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=env, cwd=self.fleet.folder
        )
        self.frozen = False

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.returncode is None

    def trouble(self) -> list[float]:
        """Record a fault that starts now. The caller sets the second element when it ends."""
        self.troubles.append([time.time(), float("inf")])
        return self.troubles[-1]

    def kill(self) -> None:
        if self.runs:
            self.killed[self.pid] = time.time()
            self.trouble()
            self.process.kill()

    async def killed_and_gone(self) -> None:
        self.kill()
        if self.process:
            await self.process.wait()

    async def restart(self) -> None:
        if self.process:
            await self.process.wait()
        for trouble in self.troubles:
            trouble[1] = min(trouble[1], time.time())
        await self.start()

    def freeze(self, on: bool) -> None:
        if self.runs:
            self.frozen = on
            self.process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    async def stop(self) -> bool:
        """Tell it to stop. Returns whether it stopped in time."""
        if not self.runs:
            return True
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), STOP_WITHIN)
            return True
        self.process.kill()
        await self.process.wait()
        return False

    async def close(self) -> None:
        if self.runs:
            self.process.kill()
            await self.process.wait()
        self.proxy.close()
        self.log.close()
