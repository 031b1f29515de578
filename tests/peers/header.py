#!/usr/bin/env python3
"""header: an upload after a JSON header, and no answer.

The client sends struct.pack("i", header length), the header and the file's bytes, once or more often. The header is
{"cmd": "put", "filename": "a.txt", "filesize": 3}, or the fuller one without a cmd, whose md5 is checked:
{"file_size": 3, "file_name": "/a/b/c/a.txt", "md5": "900150983cd24fb0d6963f7d28e17f72"}.
At the prompt, `put FILE` sends the first and `put --md5 FILE` the fuller one.
"""

import contextlib
import hashlib
import json
import os
import struct
import sys
import threading
import typing

sys.dont_write_bytecode = True

import peer

LENGTH = struct.Struct("i")
LONGEST_HEADER = 65_536

# The files that are being stored, so that two uploads never share a .part.
storing = set()
storing_lock = threading.Lock()


class Upload(typing.NamedTuple):
    """What a header says: a name without directories, a size in bytes, an MD5 in hex or None."""

    name: str
    size: int
    md5: str | None


def serve(options):
    os.makedirs(options.dir, exist_ok=True)
    peer.serve_tcp(options, store_all)


def store_all(link, options):
    """The server's half: one upload after another, until the stream ends between two."""
    while first := link.recv(LENGTH.size):
        first += peer.read_exactly(link, LENGTH.size - len(first))
        upload = understood(read_header(link, *LENGTH.unpack(first)), options.encoding)
        try:
            store(link, upload, os.path.join(options.dir, upload.name))
        except (OSError, ValueError) as fault:
            raise peer.Broken(f"{upload.name}: {fault}") from fault


def read_header(link, count):
    """A header's bytes, if their number is bearable."""
    if not 0 <= count <= LONGEST_HEADER:
        raise peer.Broken(f"a header of {count} bytes")
    return peer.read_exactly(link, count)


def understood(text, encoding):
    """The upload that a header announces, in either of its two forms."""
    try:
        header = json.loads(text.decode(encoding or "utf-8"))
    except (ValueError, RecursionError) as fault:
        raise peer.Broken("the header is no JSON") from fault
    if not isinstance(header, dict):
        raise peer.Broken("the header is no JSON object")
    if "cmd" not in header:
        return Upload(name(header, "file_name"), size(header, "file_size"), field(header, "md5", str))
    if header["cmd"] != "put":
        raise peer.Broken("the header's cmd is not put")
    return Upload(name(header, "filename"), size(header, "filesize"), None)


def field(header, key, kind):
    """A field of exactly this type: true is no number here."""
    if type(header.get(key)) is not kind:
        raise peer.Broken(f"the header lacks a fitting {key}")
    return header[key]


def name(header, key):
    """The last part of a path."""
    last = os.path.basename(field(header, key, str))
    if last in ("", ".", ".."):
        raise peer.Broken("the header names no file")
    return last


def size(header, key):
    """A number of bytes."""
    count = field(header, key, int)
    if count < 0:
        raise peer.Broken(f"the header announces {count} bytes")
    return count


def store(link, upload, path):
    """Receives a file beside its place and moves it there when it is whole."""
    part = path + ".part"
    with claimed({path, part}, upload.name):
        try:
            md5 = receive(link, upload.size, part)
            if upload.md5 is not None and upload.md5.lower() != md5:
                # The stream is still in step, so the next header may follow.
                peer.log(f"refused: {upload.name}: its md5 is {md5}, not {upload.md5}")
                return
            os.replace(part, path)
        finally:
            with contextlib.suppress(OSError, ValueError):
                os.remove(part)
    peer.log(f"stored {upload.name}: {upload.size} bytes")


@contextlib.contextmanager
def claimed(paths, shown):
    """Keeps paths to one connection at a time."""
    with storing_lock:
        if paths & storing:
            raise peer.Broken(f"{shown}: another connection is storing it")
        storing.update(paths)
    try:
        yield
    finally:
        storing.difference_update(paths)


def receive(link, count, part):
    """Writes `count` bytes of the stream to a file and returns their MD5 in hex."""
    md5 = hashlib.md5()
    with open(part, "wb") as file:
        for piece in peer.pieces(link, count):
            file.write(piece)
            md5.update(piece)
    return md5.hexdigest()


def connect(options):
    with peer.connect_tcp(options) as link:
        for line in peer.prompt():
            put(link, os.fsdecode(line), options.encoding)


def put(link, line, encoding):
    """Does what was typed; a file that cannot be read costs a line, nothing more."""
    cmd, _, path = line.partition(" ")
    fuller = path.startswith("--md5 ")
    path = path.removeprefix("--md5 ")
    if cmd != "put" or not path:
        peer.log("type put FILE, put --md5 FILE or quit")
        return
    try:
        file = open(path, "rb")
    except (OSError, ValueError) as fault:
        peer.log(f"{path} cannot be sent: {fault}")
        return
    with file:
        count = os.fstat(file.fileno()).st_size
        header = fuller_header(file, path, count) if fuller else short_header(path, count)
        send(link, header, encoding, file, count)


def short_header(path, count):
    """The header with a cmd."""
    return {"cmd": "put", "filename": os.path.basename(path), "filesize": count}


def fuller_header(file, path, count):
    """The header with an md5, which takes a first reading of the file."""
    md5 = hashlib.file_digest(file, "md5").hexdigest()
    file.seek(0)
    return {"file_size": count, "file_name": os.path.abspath(path), "md5": md5}


def send(link, header, encoding, file, count):
    """The client's half: the header's length, the header, and as many bytes as it says."""
    text = json.dumps(header).encode(encoding or "utf-8")
    link.sendall(LENGTH.pack(len(text)) + text)
    while count:
        piece = file.read(min(count, peer.PIECE))
        if not piece:
            raise peer.Broken(f"the file became {count} bytes shorter while it was sent")
        link.sendall(piece)
        count -= len(piece)


if __name__ == "__main__":
    peer.main(__doc__, serve, connect, stores=True)
