"""A server that takes what it reads for one request, and loses the one behind it."""

import time

from ends import Lines, run


def server(connection, right):
    rest = b""
    while piece := connection.recv(4096):
        rest += piece
        while b"\n" in rest:
            request, rest = rest.split(b"\n", 1)
            connection.sendall(b"result of " + request + b"\n")
            if not right:
                rest = b""


def client(connection, _):
    # The second request doesn't wait for the first one's result.
    connection.sendall(b"1 + 1\n")
    time.sleep(0.1)
    connection.sendall(b"2 + 2\n")
    lines = Lines(connection)
    for _ in range(2):
        print(lines.next().decode())


run(server, client)
