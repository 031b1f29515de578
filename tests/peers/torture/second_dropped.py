"""A client that looks at the first message of each read only."""

import time

from ends import Lines, run


def server(connection, _):
    Lines(connection).next()
    for event in (b"started", b"half done", b"finished"):
        connection.sendall(event + b"\n")
        time.sleep(0.1)


def client(connection, right):
    connection.sendall(b"work\n")
    rest = b""
    while True:
        piece = connection.recv(4096)
        if not piece:
            return
        rest += piece
        while b"\n" in rest:
            event, rest = rest.split(b"\n", 1)
            print(event.decode())
            if not right:
                rest = b""


run(server, client)
