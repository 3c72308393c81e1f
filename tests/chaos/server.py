"""A private PostgreSQL that can be stopped and suspended, whose disk can be full and whose clock can be wrong."""

import asyncio
import contextlib
import glob
import os
import pathlib
import pwd
import shutil
import signal
import subprocess

import asyncpg

SETTINGS = {
    "max_connections": 300,
    "fsync": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "autovacuum_naptime": 10,
    "log_min_messages": "fatal",
}


def binaries() -> pathlib.Path:
    """The newest installed programs, or those on PATH."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda path: float(path.split("/")[4]))
    on_path = shutil.which("postgres")
    if not found and not on_path:
        raise SystemExit("No PostgreSQL server binaries: 'apt-get install postgresql'.")
    return pathlib.Path(found[-1] if found else on_path).resolve().parent


class Server:
    """A data directory and, most of the time, the server processes on it."""

    def __init__(self, folder: pathlib.Path, port: int, extra: dict[str, object] | None = None, env: dict[str, str] | None = None):
        self.bin, self.folder, self.port, self.env = binaries(), folder, port, {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
        self.data = folder / "data"
        self.settings = SETTINGS | (extra or {}) | {"port": port}
        # PostgreSQL refuses to run as root.
        self.user = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}

    def dsn(self, database: str, port: int | None = None) -> str:
        return f"postgresql://chaos@127.0.0.1:{port or self.port}/{database}"

    async def make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.user:
            shutil.chown(self.folder, "nobody")
        await self._run("initdb", "-D", self.data, "-U", "chaos", "-A", "trust", "-E", "UTF8", "--no-sync")
        lines = "".join(f"{name} = '{value}'\n" for name, value in self.settings.items())
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write(lines)
        await self.start()

    async def start(self) -> None:
        await self._run("pg_ctl", "-D", self.data, "-w", "-t", "60", "-l", self.folder / "log", "start")

    async def stop(self, mode: str = "fast") -> None:
        await self._run("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop", check=False)

    async def _run(self, program: str, *args: object, check: bool = True) -> None:
        process = await asyncio.create_subprocess_exec(
            self.bin / program, *map(str, args), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", env=self.env, **self.user
        )
        if await process.wait() != 0 and check:
            raise RuntimeError(f"{program} failed; see {self.folder / 'log'}")

    def pause(self, on: bool) -> None:
        """Suspend or resume all its processes: nothing is answered, but no connection breaks."""
        postmaster = int((self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
        pids = [postmaster, *children(postmaster)] if on else [*children(postmaster), postmaster]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP if on else signal.SIGCONT)

    async def connect(self, database: str) -> asyncpg.Connection:
        """Connect without a proxy, as soon as the server answers."""
        for _ in range(600):
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                return await asyncpg.connect(self.dsn(database), timeout=5, command_timeout=60)
            await asyncio.sleep(0.1)
        raise RuntimeError(f"the server does not answer; see {self.folder / 'log'}")


def children(parent: int) -> list[int]:
    found = []
    for stat in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, _, rest = pathlib.Path(stat).read_text(encoding="utf-8", errors="replace").partition(" ")
            if int(rest.rpartition(")")[2].split()[1]) == parent:
                found.append(int(pid))
    return found
