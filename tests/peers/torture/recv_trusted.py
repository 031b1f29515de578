"""A client that trusts recv(n) to give n bytes."""

from ends import framed, receive_exactly, receive_framed, run


def server(connection, _):
    while (message := receive_framed(connection)) is not None:
        connection.sendall(framed(b"you said: " + message))


def client(connection, right):
    for message in (b"one", b"a longer one"):
        connection.sendall(framed(message))
        count = int.from_bytes(receive_exactly(connection, 4), "big")
        answer = receive_exactly(connection, count) if right else connection.recv(count)
        print(answer.decode())


run(server, client)
