"""A server that forgets what send did not take. With a timeout set, a socket of Python's sends what there is room for."""

import hashlib

from ends import framed, receive_framed, run

MESSAGE = bytes(range(256)) * 1200


def server(connection, right):
    connection.settimeout(5)
    while receive_framed(connection) is not None:
        if right:
            connection.sendall(framed(MESSAGE))
        else:
            connection.send(framed(MESSAGE))


def client(connection, _):
    connection.sendall(framed(b"all of it"))
    message = receive_framed(connection)
    print(len(message), hashlib.md5(message).hexdigest())


run(server, client)
