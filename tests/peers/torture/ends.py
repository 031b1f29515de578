"""The two ends of a TCP connection, for programs that are a server or a client of one protocol."""

import socket
import struct
import sys


def run(server, client):
    """Runs FILE server|client broken|right PORT; both are called with a socket and whether to be right."""
    role, kind, port = sys.argv[1:4]
    if role == "server":
        with socket.create_server(("127.0.0.1", int(port))) as listener:
            while True:
                connection, _ = listener.accept()
                with connection:
                    try:
                        server(connection, kind == "right")
                    except OSError:
                        pass
    else:
        with socket.create_connection(("127.0.0.1", int(port))) as connection:
            client(connection, kind == "right")


def receive_exactly(connection, count):
    """All of so many bytes; None at the connection's end."""
    received = b""
    while len(received) < count:
        piece = connection.recv(count - len(received))
        if not piece:
            return None
        received += piece
    return received


def receive_framed(connection):
    """A message behind its length of four bytes; None at the connection's end."""
    length = receive_exactly(connection, 4)
    return None if length is None else receive_exactly(connection, struct.unpack(">I", length)[0])


def framed(message):
    return struct.pack(">I", len(message)) + message


class Lines:
    """The lines that arrive, whatever pieces they come in."""

    def __init__(self, connection):
        self.connection, self.rest = connection, b""

    def next(self):
        while b"\n" not in self.rest:
            piece = self.connection.recv(4096)
            if not piece:
                return None
            self.rest += piece
        line, self.rest = self.rest.split(b"\n", 1)
        return line
