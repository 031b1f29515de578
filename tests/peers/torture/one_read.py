"""A client that takes one read for one message."""

from ends import Lines, run


def server(connection, _):
    lines = Lines(connection)
    while (line := lines.next()) is not None:
        connection.sendall(b"the answer to " + line + b" is 42\n")


def client(connection, right):
    lines = Lines(connection)
    for question in (b"life", b"everything"):
        connection.sendall(question + b"\n")
        answer = lines.next() if right else connection.recv(1024).rstrip(b"\n")
        print(answer.decode())


run(server, client)
