"""A worker's way to the database, which can fall silent, be cut, or swallow what is under way for ever."""

import asyncio
import contextlib
import socket
import struct


class Proxy:
    def __init__(self, target: int):
        self.target, self.port = target, 0
        self.open = asyncio.Event()
        self.open.set()
        self.refusing = False
        self._pairs: set[Pair] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            return reset(writer)
        await self.open.wait()
        try:
            up = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            return reset(writer)
        pair = Pair(self, (reader, writer), up)
        self._pairs.add(pair)
        try:
            await asyncio.gather(pair.pump(reader, up[1]), pair.pump(up[0], writer))
        except asyncio.CancelledError:
            # The driver ends, and one that was swallowed never would.
            pair.swallowed = False
        finally:
            self._pairs.discard(pair)
            if not pair.swallowed:
                reset(writer)
                reset(up[1])

    def silence(self) -> None:
        """Nothing passes any more, either way, and nobody is told. What is sent stays in the buffers."""
        self.open.clear()

    def resume(self) -> None:
        """What stood in the buffers goes on its way."""
        self.open.set()

    def cut(self) -> None:
        """All connections are reset, but those that are swallowed; new ones pass."""
        for pair in [pair for pair in self._pairs if not pair.swallowed]:
            pair.cut()
        self.open.set()

    def swallow(self) -> None:
        """What is connected now is half-open for ever: no byte, no end. New connections pass."""
        for pair in list(self._pairs):
            pair.swallowed = True

    def close(self) -> None:
        if self._server:
            self._server.close()
        for pair in list(self._pairs):
            pair.swallowed = False
            pair.cut()
        self.open.set()


class Pair:
    """Two connections, and what goes between them."""

    def __init__(self, proxy: Proxy, down: tuple, up: tuple):
        self.proxy, self.down, self.up, self.swallowed = proxy, down, up, False

    async def pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                data = await source.read(65536)
                await self.proxy.open.wait()
                while self.swallowed:
                    await asyncio.sleep(0.5)
                if not data:
                    break
                sink.write(data)
                await sink.drain()
        if not self.swallowed:
            self.cut()

    def cut(self) -> None:
        reset(self.down[1])
        reset(self.up[1])


def reset(writer: asyncio.StreamWriter) -> None:
    """RST, not FIN."""
    with contextlib.suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(RuntimeError):
        writer.transport.abort()
