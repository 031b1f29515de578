"""Python's parsers of formats that say by themselves where they end; see README.md.

A request is KIND 0 STREAM (hex). The answer is the frames as they lie in the stream, or their payload where the format
wraps it, and how the stream ended: ok (used up), more (it ends inside a frame), error (refused), quits (this parser
can't tell from here on: it looks at more than where a value ends).
"""

import io
import json
import sys

import asn1crypto.parser
import cbor2
import h11
import hiredis
import msgpack
from msgpack.exceptions import FormatError, OutOfData, StackError
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Frame
from websockets.streams import StreamReader

BLANKS = " \t\n\r\x1e"


def pjson(stream):
    text, frames, at = stream.decode("latin-1"), [], 0
    decoder = json.JSONDecoder()
    while True:
        while at < len(text) and text[at] in BLANKS:
            at += 1
        if at == len(text):
            return frames, "ok"
        # What Python reads beyond RFC 8259.
        if text.startswith(("NaN", "Infinity", "-Infinity"), at):
            return frames, "error"
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            return frames, "error"
        if "NaN" in text[at:end] or "Infinity" in text[at:end]:
            return frames, "quits"
        if text[end - 1].isdigit() and text[end : end + 1] in ("", ".", "e", "E"):
            return frames, "quits"  # a number that may go on
        frames.append(stream[at:end])
        at = end


def pmsgpack(stream):
    unpacker = msgpack.Unpacker(io.BytesIO(stream), raw=True, strict_map_key=False, max_buffer_size=len(stream) + 1)
    frames, at = [], 0
    while at < len(stream):
        try:
            unpacker.skip()
        except OutOfData:
            return frames, "more"
        except FormatError:
            return frames, "error"
        except (StackError, ValueError):
            return frames, "quits"
        frames.append(stream[at : unpacker.tell()])
        at = unpacker.tell()
    return frames, "ok"


def pcbor(stream):
    frames, at = [], 0
    source = io.BytesIO(stream)
    while at < len(stream):
        source.seek(at)
        decoder = cbor2.CBORDecoder(source, str_errors="replace")
        try:
            decoder.decode()
        except cbor2.CBORDecodeEOF:
            return frames, "more"
        except Exception:  # also of tags and keys, whose meaning it looks at
            return frames, "quits"
        # It may read ahead of what it decodes.
        end = source.tell()
        if end > len(stream) or end <= at:
            return frames, "quits"
        frames.append(stream[at:end])
        at = end
    return frames, "ok"


def presp(stream):
    reader, frames, begun = hiredis.Reader(notEnoughData=Ellipsis), [], 0
    for at in range(len(stream)):
        reader.feed(stream[at : at + 1])
        try:
            if reader.gets() is Ellipsis:
                continue
        except (hiredis.ProtocolError, TypeError):
            return frames, "quits"  # it knows fewer types, and hashes keys
        except hiredis.ReplyError:
            pass
        if stream[begun] == ord("|") or b"\r\n|" in stream[begun : at + 1]:
            return frames, "quits"  # it gives attributes as values of their own
        frames.append(stream[begun : at + 1])
        begun = at + 1
    return frames, "ok" if begun == len(stream) else "more"


def pws(stream):
    reader, frames = StreamReader(), []
    reader.feed_data(stream)
    at = 0
    while at < len(stream):
        masked = at + 1 < len(stream) and stream[at + 1] >= 0x80
        parser = Frame.parse(reader.read_exact, mask=masked, max_size=1 << 23)
        try:
            next(parser)
        except StopIteration as stop:
            frames.append(bytes(stop.value.data))
            at = len(stream) - len(reader.buffer)
        except (ProtocolError, PayloadTooBig, ValueError) as error:
            # The bits that extensions may set are a field for us.
            return frames, "quits" if "reserved bits" in str(error) else "error"
        else:
            return frames, "more"
    return frames, "ok"


def pchunk(stream):
    connection, frames = h11.Connection(h11.SERVER), []
    connection.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.next_event()
    connection.receive_data(stream)
    chunk = b""
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                # A body ends with its last chunk; and it gives a chunk before it has seen the line feed behind it.
                return frames[:-1], "quits"
            if isinstance(event, h11.EndOfMessage):
                return [*frames, b""], "quits"  # one body is all it reads
            chunk = bytes(event.data) if event.chunk_start else chunk + bytes(event.data)
            if event.chunk_end:
                frames.append(chunk)
    except h11.RemoteProtocolError:
        return frames[:-1], "quits"  # it looks at trailers too


def pber(stream):
    frames, at = [], 0
    while at < len(stream):
        try:
            length = asn1crypto.parser.peek(stream[at:])
        except ValueError:
            return frames, "quits"  # it doesn't say whether bytes are wrong or missing
        frames.append(stream[at : at + length])
        at += length
    return frames, "ok"


KINDS = {"json": pjson, "msgpack": pmsgpack, "cbor": pcbor, "resp": presp, "websocket": pws, "http-chunked": pchunk, "ber": pber}

for line in sys.stdin:
    kind, _, stream = line.rstrip("\n").split(" ")
    try:
        frames, state = KINDS[kind](bytes.fromhex(stream))
    except RecursionError:
        frames, state = [], "quits"
    print(",".join(frame.hex() or "-" for frame in frames) or ".", state)
