#!/usr/bin/env python3
"""len32: the reply after its length in four bytes.

A command is what one recv(1024) of the server gives. The reply is struct.pack("i", n) and then n bytes: stderr if there
is any, else stdout.
"""

import struct
import sys

sys.dont_write_bytecode = True

import peer

LENGTH = struct.Struct("i")


def serve(options):
    peer.serve_tcp(options, answer)


def answer(link, options):
    """The server's half: a command in, a length and the reply out."""
    for command in peer.commands(link):
        stderr, stdout = peer.run(command, options.encoding)
        reply = stderr or stdout
        link.sendall(packed(len(reply)))
        link.sendall(reply)
        peer.log_run(command, stderr, stdout)


def packed(count):
    """A length's four bytes."""
    try:
        return LENGTH.pack(count)
    except struct.error as fault:
        raise peer.Broken(f"a reply of {count} bytes has no place in this dialect") from fault


def connect(options):
    screen = peer.Screen(options.encoding)
    with peer.connect_tcp(options) as link:
        for command in peer.prompt(options.encoding):
            ask(link, command, screen)


def ask(link, command, screen):
    """The client's half: a command out, a length and the reply in."""
    link.sendall(command)
    (count,) = LENGTH.unpack(peer.read_exactly(link, LENGTH.size))
    if count < 0:
        raise peer.Broken(f"the server announced {count} bytes")
    peer.show_reply(link, count, screen)


if __name__ == "__main__":
    peer.main(__doc__, serve, connect)
