"""A server that ends a read after a while to do something else, and loses what it had read."""

import socket

from ends import framed, receive_framed, run


def receive(connection, count, right):
    received = b""
    while len(received) < count:
        try:
            piece = connection.recv(count - len(received))
        except socket.timeout:
            # Here other work is done. The message is begun anew.
            if not right:
                received = b""
            continue
        if not piece:
            return None
        received += piece
    return received


def server(connection, right):
    connection.settimeout(0.2)
    while (length := receive(connection, 4, right)) is not None:
        message = receive(connection, int.from_bytes(length, "big"), right)
        if message is None:
            return
        connection.sendall(framed(message[::-1]))


def client(connection, _):
    for message in (b"stressed", b"was it a car or a cat"):
        connection.sendall(framed(message))
        print(receive_framed(connection).decode())


run(server, client)
