"""A server that reads a message's length in one call."""

import struct

from ends import framed, receive_exactly, receive_framed, run


def receive(connection, right):
    if right:
        return receive_framed(connection)
    length = connection.recv(4)
    if not length:
        return None
    (count,) = struct.unpack(">I", length.rjust(4, b"\0"))
    return receive_exactly(connection, count)


def server(connection, right):
    while (message := receive(connection, right)) is not None:
        connection.sendall(framed(message.upper()))


def client(connection, _):
    for message in (b"hello", b"world, and all who live on it"):
        connection.sendall(framed(message))
        print(receive_framed(connection).decode())


run(server, client)
