"""A server that refuses a line that is too long, and takes its rest for the next one."""

from ends import Lines, run

LONGEST = 40


def server(connection, right):
    rest, skipping = b"", False
    while piece := connection.recv(4096):
        rest += piece
        while b"\n" in rest:
            line, rest = rest.split(b"\n", 1)
            if skipping or len(line) > LONGEST:
                connection.sendall(b"too long\n")
            else:
                connection.sendall(b"stored " + line + b"\n")
            skipping = False
        if len(rest) > LONGEST:
            if right:
                skipping = True
            else:
                connection.sendall(b"too long\n")
            rest = b""


def client(connection, _):
    lines = Lines(connection)
    for line in (b"short", b"x" * 60, b"last"):
        connection.sendall(line + b"\n")
        print(lines.next().decode())


run(server, client)
