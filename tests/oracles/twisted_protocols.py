"""Twisted's receivers; see README.md."""

import sys

from twisted.internet.testing import StringTransport
from twisted.protocols import basic

RECEIVERS = {
    "t1": basic.Int8StringReceiver,
    "t2": basic.Int16StringReceiver,
    "t4": basic.Int32StringReceiver,
    "tnet": basic.NetstringReceiver,
    "tline": basic.LineOnlyReceiver,
}


def receiver(kind, limit):
    """A protocol of this kind, and the list that its frames go to."""
    frames = []
    protocol = RECEIVERS[kind]()
    protocol.MAX_LENGTH = limit
    protocol.stringReceived = frames.append
    protocol.lineReceived = frames.append
    protocol.makeConnection(StringTransport())
    return protocol, frames


def run(kind, limit, chunks):
    """The frames in the chunks, and how the stream ended."""
    protocol, frames = receiver(kind, limit)
    for chunk in chunks:
        protocol.dataReceived(chunk)
        if protocol.transport.disconnecting or protocol.transport.disconnected:
            return frames, "error"
    return frames, "ok"


for line in sys.stdin:
    kind, limit, chunks = line.rstrip("\n").split(" ")
    frames, state = run(kind, int(limit), [bytes.fromhex(chunk) for chunk in chunks.split(",")])
    print(",".join(frame.hex() or "-" for frame in frames) or ".", state)
