#!/usr/bin/env python3
"""udp: a datagram for a command, two for its answer.

Every datagram is a command, the empty one too. The answer is stderr in one datagram and stdout in a second, and either
may be empty. What exceeds the receiver's 1,024 bytes is lost; what exceeds a datagram cannot be sent at all.
"""

import collections
import os
import socket
import sys
import threading

sys.dont_write_bytecode = True

import peer

# The commands that wait, for each client whose thread is at work.
waiting = {}
waiting_lock = threading.Lock()


def serve(options):
    host, port = options.listen
    with socket.socket(peer.family(host), socket.SOCK_DGRAM) as link:
        # With this option and no chosen port, Linux may give a port that another such server has.
        if port and os.name == "posix":
            link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        link.bind(options.listen)
        peer.announce(link)
        for _ in peer.arrivals(link):
            enqueue(link, options, *link.recvfrom(peer.ONE_TAKE))


def enqueue(link, options, command, client):
    """Hands a command to its client's thread, so that each client is answered in order."""
    with waiting_lock:
        if client in waiting:
            waiting[client].append(command)
            return
        waiting[client] = collections.deque([command])
    threading.Thread(target=answer_all, args=(link, options, client), daemon=True).start()


def answer_all(link, options, client):
    """Answers a client's commands until none waits."""
    while (command := next_command(client)) is not None:
        try:
            answer(link, options, command, client)
        except OSError as fault:
            peer.log(f"broken off: {fault}")


def next_command(client):
    """A client's next command; without one the client is forgotten."""
    with waiting_lock:
        if waiting[client]:
            return waiting[client].popleft()
        del waiting[client]
        return None


def answer(link, options, command, client):
    """The server's half: two datagrams out, whatever the command was."""
    try:
        stderr, stdout = peer.run(command, options.encoding)
    except peer.Broken as fault:
        peer.log(f"refused: {fault}")
        stderr = stdout = b""
    send(link, stderr, client)
    send(link, stdout, client)
    peer.log_run(command, stderr, stdout)


def send(link, data, client):
    """Sends a datagram, or an empty one in place of what does not fit."""
    try:
        link.sendto(data, client)
    except OSError as fault:
        peer.log(f"refused: a datagram of {len(data)} bytes: {fault}")
        link.sendto(b"", client)


def connect(options):
    host, _ = options.server
    screen = peer.Screen(options.encoding)
    with socket.socket(peer.family(host), socket.SOCK_DGRAM) as link:
        # Connected, so that nobody but the server is heard.
        link.connect(options.server)
        link.settimeout(options.wait)
        for command in peer.prompt(options.encoding, send_empty=True):
            ask(link, command, screen)


def ask(link, command, screen):
    """The client's half: a datagram out, two in; a lost one costs a wait, nothing more."""
    try:
        link.send(command)
        for _ in ("stderr", "stdout"):
            reply, _ = link.recvfrom(peer.ONE_TAKE)
            screen.write(reply)
            screen.finish()
    except TimeoutError:
        peer.log(f"nothing came within {link.gettimeout():g} seconds")
    except OSError as fault:
        peer.log(f"no answer: {fault}")


if __name__ == "__main__":
    peer.main(__doc__, serve, connect)
