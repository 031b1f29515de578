"""A client that takes silence for the end of a message."""

import socket

from ends import Lines, run


def server(connection, _):
    lines = Lines(connection)
    while (line := lines.next()) is not None:
        connection.sendall(b"".join(b"%s %d\n" % (line, number) for number in range(5)) + b".\n")


def receive(connection, right):
    connection.settimeout(None if right else 0.2)
    text = b""
    while not (right and text.endswith(b".\n")):
        try:
            piece = connection.recv(4096)
        except socket.timeout:
            return text
        if not piece:
            break
        text += piece
    return text


def client(connection, right):
    for question in (b"row", b"column"):
        connection.sendall(question + b"\n")
        print(receive(connection, right).decode(), end="")


run(server, client)
