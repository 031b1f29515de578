"""A server that turns CR LF into LF in each read alone."""

from ends import Lines, run


def server(connection, right):
    rest = b""
    while piece := connection.recv(4096):
        rest += piece if right else piece.replace(b"\r\n", b"\n")
        *lines, rest = rest.split(b"\r\n" if right else b"\n")
        for line in lines:
            connection.sendall(b"pong\n" if line == b"ping" else b"unknown command " + repr(line).encode() + b"\n")


def client(connection, _):
    lines = Lines(connection)
    for _ in range(2):
        connection.sendall(b"ping\r\n")
        print(lines.next().decode())


run(server, client)
