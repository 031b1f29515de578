"""A client that finds messages in each read with a regular expression."""

import re

from ends import Lines, run


def server(connection, _):
    Lines(connection).next()
    for name in (b"ada", b"grace", b"barbara"):
        connection.sendall(b"<user>" + name + b"</user>")
    connection.sendall(b"<end></end>")


def client(connection, right):
    connection.sendall(b"users\n")
    seen, rest = [], b""
    while b"<end></end>" not in rest:
        piece = connection.recv(4096)
        if not piece:
            break
        rest += piece
        seen += [] if right else re.findall(rb"<user>(.*?)</user>", piece)
    if right:
        seen = re.findall(rb"<user>(.*?)</user>", rest)
    print(*(name.decode() for name in seen))


run(server, client)
