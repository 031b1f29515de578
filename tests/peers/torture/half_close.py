"""A server that takes the end of what the client sends for the end of the session, and owes the last answer."""

import asyncio
import socket
import sys
import time

from ends import Lines, run


async def serve(reader, writer):
    right = sys.argv[2] == "right"
    while True:
        line = await reader.readline()
        # The job takes its time.
        await asyncio.sleep(0.02)
        if not line or not right and reader.at_eof():
            break
        writer.write(b"done: " + line)
        await writer.drain()
    writer.close()


async def listen():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[3]))
    await server.serve_forever()


def client(connection, _):
    connection.sendall(b"first job\n")
    connection.sendall(b"second job\n")
    # Meanwhile the client works, too. Then it says that there are no more jobs.
    time.sleep(0.2)
    connection.shutdown(socket.SHUT_WR)
    lines = Lines(connection)
    while (line := lines.next()) is not None:
        print(line.decode())


if sys.argv[1] == "server":
    asyncio.run(listen())
else:
    run(None, client)
