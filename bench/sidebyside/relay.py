#!/usr/bin/env python3
"""A TCP relay that delays, limits and counts: `relay.py TARGET-PORT SECONDS COUNTS [LOSS [RATE]]`.

It prints its own port on one line. Each direction is delayed by SECONDS, whatever the bytes, so that a round trip takes twice as
long, and carries at most RATE bytes a second (0: no limit). LOSS is the part of the pieces, from 0 to 1, that are held for two round
trips more, with all that is behind them: after that time
the kernel sends a single lost segment again (its tail loss probe, RFC 8985). The pieces are the same in each run. This is not a lossy link: what a
sender does about congestion, and about losses in the middle of a flood, is not in it. When a connection ends, a line with its bytes to the target and from it is appended to the file COUNTS.
"""

import asyncio
import contextlib
import random
import select
import socket
import sys
from pathlib import Path

CHUNK = 256 * 1024


async def pour(reader, writer, delay, loss, rate, counts, key):
    """Passes everything on, each piece `delay` seconds after it came, and lost ones later."""
    # With a rate, little is stored on the way: the sender has to wait.
    chunk = CHUNK // 8 if rate else CHUNK
    loop, queue = asyncio.get_running_loop(), asyncio.Queue(maxsize=2 if rate else 4096)
    free = loop.time()

    chance = random.Random(key)

    async def take():
        while piece := await reader.read(chunk):
            counts[key] += len(piece)
            lost = 4 * delay if chance.random() < loss else 0
            await queue.put((loop.time() + delay + lost, piece))
        await queue.put((loop.time() + delay, None))

    taking = asyncio.ensure_future(take())
    with contextlib.suppress(OSError):
        while True:
            due, piece = await queue.get()
            if (left := due - loop.time()) > 0:
                await asyncio.sleep(left)
            if piece is None:
                writer.write_eof()
                break
            writer.write(piece)
            await writer.drain()
            if rate:
                # What was not used for a while counts for no more than 20 ms.
                free = max(free, loop.time() - 0.02) + len(piece) / rate
                if (left := free - loop.time()) > 0:
                    await asyncio.sleep(left)
    taking.cancel()


async def serve(target, delay, counts_path, loss, rate):
    room = 64 * 1024 if rate else 4 * CHUNK

    async def joined(reader, writer):
        counts = {"to": 0, "from": 0}
        away_reader, away_writer = await asyncio.open_connection("127.0.0.1", target, limit=room)
        for side in (writer, away_writer):
            side.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(
            pour(reader, away_writer, delay, loss, rate, counts, "to"),
            pour(away_reader, writer, delay, loss, rate, counts, "from"),
        )
        for side in (writer, away_writer):
            side.close()
        with open(counts_path, "a") as file:
            file.write(f"{counts['to']} {counts['from']}\n")

    server = await asyncio.start_server(joined, "127.0.0.1", 0, limit=room)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


@contextlib.contextmanager
def running(target, seconds, directory: Path, loss=0.0, rate=0):
    """Starts one as a process of its own; gives its port, and a function that reads the bytes of its connections since the last call."""
    import os

    from .processes import Failed, spawn, stop

    counts = directory / f"relay-{target}-{seconds}-{rate}"
    counts.touch()
    reader, writer = os.pipe()
    options = [str(target), str(seconds), str(counts), str(loss), str(rate)]
    pid = spawn([sys.executable, "-B", __file__, *options], None, writer)
    os.close(writer)
    try:
        ready, _, _ = select.select([reader], [], [], 10)
        line = os.read(reader, 100) if ready else b""
        if not line:
            raise Failed("the relay didn't come up")

        def read():
            lines = [line.split() for line in counts.read_text().splitlines()]
            counts.write_text("")
            return sum(int(to) for to, _ in lines), sum(int(back) for _, back in lines)

        yield int(line), read
    finally:
        stop(pid)
        os.close(reader)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        loss, rate = (*map(float, sys.argv[4:6]), 0, 0)[:2]
        asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], loss, rate))
