"""A client that looks for the delimiter in each read alone."""

from ends import Lines, run

END = b"<END>"


def server(connection, _):
    lines = Lines(connection)
    while (line := lines.next()) is not None:
        connection.sendall(b"report on " + line + b": all is well" + END)


def client(connection, right):
    for topic in (b"engines", b"weather"):
        connection.sendall(topic + b"\n")
        report = b""
        while True:
            piece = connection.recv(4096)
            if not piece:
                raise SystemExit("the server left")
            report += piece
            if END in (report if right else piece):
                break
        print(report.split(END)[0].decode())


run(server, client)
