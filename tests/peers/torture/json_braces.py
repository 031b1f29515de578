"""A client that takes JSON for whole as soon as it has as many closing braces as opening ones."""

import json

from ends import Lines, run


def server(connection, _):
    lines = Lines(connection)
    while (line := lines.next()) is not None:
        reply = {"smile": ":-}", "frown": ":-{", "asked": line.decode()}
        connection.sendall(json.dumps(reply).encode())


def whole(text, right):
    if not right:
        return text.count("{") == text.count("}")
    try:
        json.JSONDecoder().raw_decode(text)
        return True
    except ValueError:
        return False


def client(connection, right):
    for question in (b"mood", b"weather"):
        connection.sendall(question + b"\n")
        text = ""
        while not text or not whole(text, right):
            text += connection.recv(4096).decode()
        print(json.loads(text)["asked"], json.loads(text)["smile"])


run(server, client)
