"""A worker's connection to the database, which can fall silent, be reset, or stay half-open forever."""

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
            # The driver ends. A half-open connection never would by itself.
            pair.swallowed = False
        finally:
            self._pairs.discard(pair)
            if not pair.swallowed:
                reset(writer)
                reset(up[1])

    def silence(self) -> None:
        """Forward nothing in either direction, and tell nobody. Data stays in the buffers."""
        self.open.clear()

    def resume(self) -> None:
        """Forward again, starting with the data in the buffers."""
        self.open.set()

    def cut(self) -> None:
        """Reset all connections except half-open ones. New ones work."""
        for pair in [pair for pair in self._pairs if not pair.swallowed]:
            pair.cut()
        self.open.set()

    def swallow(self) -> None:
        """Leave the current connections half-open forever, without data or an end. New connections work."""
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
    """Two connections, and the data between them."""

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
    """Close with RST rather than FIN."""
    with contextlib.suppress(OSError, AttributeError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(RuntimeError):
        writer.transport.abort()
