"""A client that takes an empty message, alone in a read, for the end of the session."""

from ends import Lines, run


def server(connection, _):
    Lines(connection).next()
    # An empty line keeps the session alive.
    connection.sendall(b"one\n\ntwo\n\nbye\n")


def client(connection, right):
    connection.sendall(b"begin\n")
    rest = b""
    while True:
        piece = connection.recv(4096)
        if not piece or not right and not piece.strip():
            print("the session is over")
            return
        rest += piece
        *lines, rest = rest.split(b"\n")
        for line in lines:
            if line == b"bye":
                print("bye")
                return
            if line:
                print(line.decode())


run(server, client)
