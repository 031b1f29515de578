#!/usr/bin/env python3
"""ack: the reply's length as text, a go-ahead, the reply.

A command is what one recv(1024) of the server gives. The server sends the reply's length in ASCII decimal, waits for
`recv_ready`, and sends the reply: stderr if there is any, else stdout. The client takes one recv(1024) as the length.
"""

import sys

sys.dont_write_bytecode = True

import peer

GO_AHEAD = b"recv_ready"


def serve(options):
    peer.serve_tcp(options, answer)


def answer(link, options):
    """The server's half: a command in, a length out, the go-ahead in, the reply out."""
    for command in peer.commands(link):
        stderr, stdout = peer.run(command, options.encoding)
        reply = stderr or stdout
        link.sendall(b"%d" % len(reply))
        # The next command may follow at once, so not a byte more than the go-ahead is taken.
        if peer.read_exactly(link, len(GO_AHEAD)) != GO_AHEAD:
            raise peer.Broken("this is not recv_ready")
        link.sendall(reply)
        peer.log_run(command, stderr, stdout)


def connect(options):
    screen = peer.Screen(options.encoding)
    with peer.connect_tcp(options) as link:
        for command in peer.prompt(options.encoding):
            ask(link, command, screen)


def ask(link, command, screen):
    """The client's half: a command out, a length in, the go-ahead out, the reply in."""
    link.sendall(command)
    count = length(link.recv(peer.ONE_TAKE))
    link.sendall(GO_AHEAD)
    peer.show_reply(link, count, screen)


def length(text):
    """The reply's length, in digits and nothing else."""
    if not text:
        raise peer.Broken("the server ended the stream")
    if not text.isdigit():
        raise peer.Broken(f"this is not a length: {text[:40]!r}")
    return int(text)


if __name__ == "__main__":
    peer.main(__doc__, serve, connect)
