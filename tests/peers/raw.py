#!/usr/bin/env python3
"""raw: bare text over TCP, with no boundary anywhere.

A command is what one recv(1024) of the server gives. Its reply is stderr's bytes, then stdout's, and the client shows
what one recv(1024) gives: the rest of a longer reply comes as the answer to the next command.
"""

import sys

sys.dont_write_bytecode = True

import peer


def serve(options):
    peer.serve_tcp(options, answer)


def answer(link, options):
    """The server's half: a command in, its output out."""
    for command in peer.commands(link):
        stderr, stdout = peer.run(command, options.encoding)
        link.sendall(stderr)
        link.sendall(stdout)
        peer.log_run(command, stderr, stdout)


def connect(options):
    screen = peer.Screen(options.encoding)
    with peer.connect_tcp(options) as link:
        for command in peer.prompt(options.encoding):
            ask(link, command, screen)
        screen.finish()


def ask(link, command, screen):
    """The client's half: a command out, whatever comes first in."""
    link.sendall(command)
    try:
        reply = link.recv(peer.ONE_TAKE)
    except TimeoutError:
        peer.log(f"nothing came within {link.gettimeout():g} seconds")
        return
    if not reply:
        raise peer.Broken("the server ended the stream")
    screen.write(reply)


if __name__ == "__main__":
    peer.main(__doc__, serve, connect)
