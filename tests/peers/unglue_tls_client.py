#!/usr/bin/env python3
"""Logs in to a real unglue server over TCP and TLS, as PROTOCOL.md says, and runs a few operations.

    unglue_tls_client.py HOST PORT USER_KEY HOST_KEY.pub

USER_KEY is an unencrypted ed25519 key file of OpenSSH's; HOST_KEY.pub is the server's public key. Needs `cryptography`.
"""

import base64
import hashlib
import socket
import struct
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key, load_ssh_public_key
from tls13 import Tls
from unglue_client import Fault, Link

LABEL, NAMESPACE = b"EXPORTER-unglue-auth-1", b"unglue-auth@1"


def string(data):
    return struct.pack(">I", len(data)) + data


def proof(key, user, exporter):
    """The fields of a hello's `proof`: an SSHSIG blob over this connection (OpenSSH's PROTOCOL.sshsig)."""
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    blob = base64.b64decode(line.split()[1])
    message = string(b"unglue/1") + string(b"client") + string(user) + string(exporter)
    digest = hashlib.sha512(message).digest()
    signed = b"SSHSIG" + string(NAMESPACE) + string(b"") + string(b"sha512") + string(digest)
    signature = string(b"ssh-ed25519") + string(key.sign(signed))
    parts = string(blob) + string(NAMESPACE) + string(b"") + string(b"sha512") + string(signature)
    envelope = b"SSHSIG" + struct.pack(">I", 1) + parts
    return {"key": line, "signature": base64.b64encode(envelope).decode()}


def connect(host, port, key_file, host_key_file):
    tls = Tls(socket.create_connection((host, port), timeout=20), b"unglue/1")
    raw = (Encoding.Raw, PublicFormat.Raw)
    known = load_ssh_public_key(Path(host_key_file).read_bytes())
    assert tls.host_key.public_bytes(*raw) == known.public_bytes(*raw), "another server"
    key = load_ssh_private_key(Path(key_file).read_bytes(), None)
    return tls, Link(tls, tls, proof=proof(key, b"", tls.exporter(LABEL, b"", 32)))


def main():
    host, port, key, host_key = sys.argv[1:]

    def told(what):
        print("ok:", what, file=sys.stderr)

    tls, link = connect(host, int(port), key, host_key)
    told(f"logged in as {link.welcome['user']}")

    done = link.exec([b"printf", b"%s|", b"hi", "naïve".encode(), b"\xff\xfe"])
    assert (done.outcome, done.stdout) == ({"exited": 0}, b"hi|na\xc3\xafve|\xff\xfe|"), (done.report, done.stdout)
    told("arguments are bytes")

    blob = bytes(i * i % 251 for i in range(200_000))
    done = link.exec([b"cat"], stdin=blob)
    assert done.stdout == blob and done.report["stdin"]["bytes"] == len(blob), done.report
    told("three windows of input and output")

    done = link.exec([b"sh", b"-c", b"echo out; echo err >&2; exit 3"])
    assert (done.outcome, done.stdout, done.stderr) == ({"exited": 3}, b"out\n", b"err\n"), done.report
    assert link.exec([b"there-is-no-such-program"]).outcome["spawn_failed"]["errno"] == "ENOENT"
    told("commands that fail")

    assert link.put(b"from-python", blob)["bytes"] == len(blob)
    assert link.get(b"from-python") == blob
    told("files")

    try:
        link.exec([b"true"], require=["a_wish_of_tomorrow"])
        raise AssertionError("a requirement that is not known was ignored")
    except Fault as fault:
        assert fault.fault["code"] == "unsupported", fault.fault
    told("a requirement of a later version is refused")

    tls.close()
    try:
        forged, _ = Tls(socket.create_connection((host, int(port)), timeout=20), b"unglue/1"), None
        Link(forged, forged, proof=proof(load_ssh_private_key(Path(key).read_bytes(), None), b"", bytes(32)))
        raise AssertionError("a proof of another connection was accepted")
    except Fault as fault:
        assert fault.fault["code"] == "denied", fault.fault
    told("a proof holds on its own connection alone")


if __name__ == "__main__":
    main()
