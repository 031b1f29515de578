#!/usr/bin/env python3
"""A client of unglue/1, written from PROTOCOL.md alone, with nothing but Python's standard library.

The link is its standard input and output: a transport that authenticates by itself, so without TLS and without a proof.
It runs a few operations, checks every reply, and tells what it did on standard error. `crates/proto/tests/it/foreign.rs`
plays the server for it. As a module it is a client for whoever has such a transport:

    link = Link(reader, writer)
    done = link.exec([b"uname", b"-a"])
    print(done.outcome, done.stdout)
"""

import base64
import itertools
import json
import struct
import sys

DATA, FIN, RESET, STOP, WINDOW, PING, GO_AWAY, STREAMS, PONG = range(9)
FIRST_CREDIT = 65_536
LONGEST_FRAME = 65_536


class LinkError(Exception):
    """The server broke the protocol, or the link ended."""


class Fault(Exception):
    """An operation failed, for a reason that the server gave."""

    def __init__(self, fault):
        super().__init__(f"{fault['what']} ({fault['code']})")
        self.fault = fault


def octets(value):
    """Bytes, as they stand in JSON."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def message(value):
    text = json.dumps(value).encode()
    return struct.pack(">I", len(text)) + text


class Stream:
    """What this end knows of a stream."""

    def __init__(self):
        self.credit = FIRST_CREDIT
        self.sent = 0
        self.stopped = None
        self.ended = False
        self.granted = FIRST_CREDIT
        self.taken = 0
        self.unread = bytearray()
        self.finished = False
        self.reset = None


class Link:
    def __init__(self, reader, writer, proof=None):
        self.reader, self.writer = reader, writer
        self.streams = {}
        self.next = {0: 0, 2: 2}
        self.last = {0: 4 * 2047, 2: 4 * 4095 + 2}
        self.outputs_read = 0
        self.ids = itertools.count(1)
        self.left = None
        hello = {"protocol": "unglue/1", "agent": "unglue_client.py"}
        writer.write(message({"hello": hello if proof is None else {**hello, "proof": proof}}))
        writer.flush()
        (length,) = struct.unpack(">I", self.exactly(4))
        answer = json.loads(self.exactly(length))
        if "denied" in answer:
            raise Fault(answer["denied"])
        self.welcome = answer["welcome"]

    # The bytes below.

    def exactly(self, count):
        data = self.reader.read(count)
        if len(data) != count:
            raise LinkError("the link ended")
        return data

    def send(self, kind, stream, data=b""):
        self.writer.write(struct.pack(">IBI", len(data), kind, stream) + data)
        self.writer.flush()

    def receive(self):
        """Takes one frame."""
        length, kind, number = struct.unpack(">IBI", self.exactly(9))
        if length > LONGEST_FRAME:
            raise LinkError(f"a frame of {length} bytes")
        data = self.exactly(length)
        if kind == PING:
            if data:
                self.send(PONG, 0, data)
            return
        if kind == PONG:
            return
        if kind == GO_AWAY:
            self.left = (struct.unpack(">I", data[:4])[0], data[4:].decode())
            return
        if kind == STREAMS:
            self.last[number & 2] = max(self.last[number & 2], number)
            return
        stream = self.streams.setdefault(number, Stream())
        if kind in (DATA, FIN):
            if stream.finished or stream.reset is not None:
                raise LinkError(f"data behind the end of stream {number}")
            stream.unread += data
            stream.finished = kind == FIN
        elif kind == RESET:
            stream.reset = struct.unpack(">I", data)[0]
        elif kind == STOP:
            stream.stopped = struct.unpack(">I", data)[0]
            if not stream.ended:
                stream.ended = True
                self.send(RESET, number, data)
        elif kind == WINDOW:
            stream.credit = max(stream.credit, struct.unpack(">Q", data)[0])
        else:
            raise LinkError(f"a frame of the unknown kind {kind}")

    # Streams.

    def open(self, kind):
        number = self.next[kind]
        while number > self.last[kind]:
            self.receive()
        self.next[kind] += 4
        self.streams[number] = Stream()
        return number

    def write(self, number, data, finish=False):
        """Sends all of it, waiting for credit. False if the reader gave the stream up."""
        stream = self.streams[number]
        while data and stream.stopped is None:
            room = min(stream.credit - stream.sent, LONGEST_FRAME)
            if not room:
                self.receive()
                continue
            piece, data = data[:room], data[room:]
            stream.sent += len(piece)
            self.send(DATA, number, piece)
        if finish:
            self.finish(number)
        return stream.stopped is None

    def finish(self, number):
        stream = self.streams[number]
        if not stream.ended:
            stream.ended = True
            self.send(FIN, number)

    def take(self, number, count=None):
        """Exactly so many bytes, or without a count whatever is there."""
        stream = self.streams.setdefault(number, Stream())
        while len(stream.unread) < count if count is not None else not (stream.unread or stream.finished):
            if stream.reset is not None or stream.finished:
                raise LinkError(f"stream {number} broke off")
            self.receive()
        count = len(stream.unread) if count is None else count
        data = bytes(stream.unread[:count])
        del stream.unread[:count]
        stream.taken += count
        if not stream.finished and stream.granted - stream.taken < FIRST_CREDIT // 2:
            stream.granted = stream.taken + FIRST_CREDIT
            self.send(WINDOW, number, struct.pack(">Q", stream.granted))
        return data

    def read_all(self, number):
        data = b"".join(iter(lambda: self.take(number), b""))
        del self.streams[number]
        self.outputs_read += 1
        if self.outputs_read % 1024 == 0:
            self.send(STREAMS, 4 * (self.outputs_read + 4096 - 1) + 3)
        return data

    def hear(self, control):
        """The next message of an operation that this client knows: its kind and its body."""
        while True:
            (length,) = struct.unpack(">I", self.take(control, 4))
            ((kind, body),) = json.loads(self.take(control, length)).items()
            if kind == "refused":
                raise Fault(body)
            if kind in ("started", "exited", "file", "outcome"):
                return kind, body

    # Operations.

    def request(self, operation, data=None, **fields):
        """Starts an operation; `data` names the field for a stream of ours, which is opened for it."""
        control = self.open(0)
        fields["id"] = f"python-{next(self.ids)}"
        if data:
            fields[data] = self.open(2)
        self.write(control, message({operation: fields}))
        return control, fields.get(data)

    def exec(self, argv, stdin=None, **fields):
        feeds = "stdin" if stdin is not None else None
        control, feed = self.request("exec", feeds, argv=[octets(word) for word in argv], **fields)
        done = Done()
        if feed is not None:
            self.write(feed, stdin, finish=True)
        name, value = self.hear(control)
        if name == "started":
            done.stdout, done.stderr = self.read_all(value["stdout"]), self.read_all(value["stderr"])
            name, value = self.hear(control)
        if name == "exited":
            done.exited = value
            name, value = self.hear(control)
        self.finish(control)
        if name != "outcome":
            raise LinkError(f"{name} where the outcome belongs")
        done.report = value
        for output in ("stdout", "stderr"):
            if output in value and value[output]["end"] != "abandoned":
                compare(value[output], getattr(done, output))
        return done

    def put(self, path, data, name=b"data", mode=0o644):
        fields = {"path": octets(path), "name": octets(name), "size": len(data), "mode": mode}
        control, stream = self.request("put", "data", **fields)
        if self.write(stream, data, finish=True):
            self.write(control, message({"sent": {"bytes": len(data), "blake3": blake3(data)}}))
        self.finish(control)
        return self.outcome(*self.hear(control))

    def get(self, path):
        control, _ = self.request("get", path=octets(path))
        self.finish(control)
        name, value = self.hear(control)
        if name != "file":
            return self.outcome(name, value)
        data = self.read_all(value["data"])
        compare(self.outcome(*self.hear(control)), data)
        return data

    def outcome(self, name, value):
        if name != "outcome":
            raise LinkError(f"{name} where the outcome belongs")
        if "failed" in value:
            raise Fault(value["failed"])
        return value["done"]


class Done:
    """A command that has ended."""

    stdout = stderr = b""
    exited = None
    report = None

    @property
    def outcome(self):
        """How the command's own process ended, or the outcome of one that didn't end by itself."""
        return self.report["outcome"].get("ended", self.report["outcome"])


def compare(tally, data):
    if tally["bytes"] != len(data) or tally["blake3"] != blake3(data):
        raise LinkError(f"{len(data)} bytes arrived of {tally['bytes']}, or others than were sent")


# BLAKE3 (https://github.com/BLAKE3-team/BLAKE3-specs), slow and short.

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
MIX = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
MASK = 0xFFFFFFFF


def compress(chaining, block, counter, length, flags):
    words = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    v = [*chaining, *IV[:4], counter & MASK, counter >> 32, length, flags]
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(MIX):
            for word, first, second in ((words[2 * i], 16, 12), (words[2 * i + 1], 8, 7)):
                v[a] = (v[a] + v[b] + word) & MASK
                mixed = v[d] ^ v[a]
                v[d] = (mixed >> first | mixed << 32 - first) & MASK
                v[c] = (v[c] + v[d]) & MASK
                mixed = v[b] ^ v[c]
                v[b] = (mixed >> second | mixed << 32 - second) & MASK
        words = [words[i] for i in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def node(data, chunk, root):
    """The chaining value of the tree over `data`, whose first chunk has the number `chunk`."""
    if len(data) > 1024:
        left = 1024 << ((len(data) - 1) // 1024).bit_length() - 1
        both = node(data[:left], chunk, 0) + node(data[left:], chunk + left // 1024, 0)
        return compress(IV, struct.pack("<16I", *both), 0, 64, PARENT | root)
    chaining = IV
    blocks = [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
    for i, block in enumerate(blocks):
        last = i == len(blocks) - 1
        flags = (CHUNK_START if i == 0 else 0) | (CHUNK_END | root if last else 0)
        chaining = compress(chaining, block, chunk, len(block), flags)
    return chaining


def blake3(data):
    return struct.pack("<8I", *node(data, 0, ROOT)).hex()


def main():
    def told(what):
        print("ok:", what, file=sys.stderr)

    assert blake3(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    link = Link(sys.stdin.buffer, sys.stdout.buffer)
    told(f"welcomed by {link.welcome['agent']}")

    done = link.exec([b"echo", b"hi", b"", "naïve".encode(), b"\xff\xfe"])
    assert (done.outcome, done.stdout) == ({"exited": 0}, b"hi  na\xc3\xafve \xff\xfe\n"), (done.report, done.stdout)
    told("arguments are bytes")

    blob = bytes(i * i % 251 for i in range(200_000))
    done = link.exec([b"cat"], stdin=blob)
    assert done.stdout == blob, len(done.stdout)
    told("three windows of input and output")

    done = link.exec([b"false"])
    assert (done.outcome, done.exited) == ({"exited": 1}, {"exited": 1})
    done = link.exec([b"lllll"])
    assert done.outcome["spawn_failed"]["errno"] == "ENOENT" and done.exited is None
    told("commands that fail")

    done = link.exec([b"deaf"], stdin=blob)
    assert done.report["stdin"]["end"] == "abandoned", done.report
    told("input that nobody reads")

    assert link.put(b"odd\xff name", blob)["bytes"] == len(blob)
    assert link.get(b"odd\xff name") == blob
    try:
        link.get(b"nowhere")
        raise AssertionError("a file that isn't there was sent")
    except Fault as fault:
        assert fault.fault["errno"] == "ENOENT"
    told("files")

    for i in range(3_000):
        assert link.exec([b"echo", b"%d" % i]).stdout == b"%d\n" % i
    told("more operations than there may be streams at once")


if __name__ == "__main__":
    main()
