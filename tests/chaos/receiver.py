"""Receives the start and the end of every run. These are effects outside the queue, which no bookkeeping in the queue can undo."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Effect:
    what: str
    job: int
    attempt: int
    worker: str
    at: float


class Receiver:
    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.port = 0
        # Called for each report before it is answered.
        self.hook: Callable[[Effect], None] = lambda _: None
        # Python workers name their id with each run.
        self.ids: dict[str, str] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                _, what, job, attempt, worker, *uuid = head.split(b" ", 2)[1].decode().split("/")
                effect = Effect(what, int(job), int(attempt), worker, time.time())
                self.effects.append(effect)
                if uuid:
                    self.ids[uuid[0]] = worker
                self.hook(effect)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        writer.close()

    def close(self) -> None:
        if self._server:
            self._server.close()
