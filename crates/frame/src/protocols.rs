//! Protocols whose frames no layout can say: each in a file of its own, as a [`Rule`](crate::Rule) of this crate.

mod amqp;
mod ber;
mod cbor;
mod chunked;
mod hdlc;
mod json;
mod mllp;
mod msgpack;
mod nest;
mod onc_rpc;
mod pkt_line;
mod resp;
mod value;
mod walk;
mod websocket;
mod zmtp;

use crate::Framing;
use value::Values;

pub(crate) use hdlc::{Check, Hdlc};
pub(crate) use websocket::{From, WebSocket};

/// The protocols that need code. The data, the options and the limits of each are told in the guide.
impl Framing {
    /// Values of the Redis protocol, RESP2 and RESP3, whole: a command or a reply is a frame.
    pub fn resp() -> Framing {
        Framing::custom(Values::<resp::Resp>::NEW)
    }

    /// JSON values (RFC 8259), whole. The encoder writes a line feed behind each.
    pub fn json() -> Framing {
        Framing::custom(Values::<json::Json>::NEW)
    }

    /// MessagePack values, whole.
    pub fn msgpack() -> Framing {
        Framing::custom(Values::<msgpack::MsgPack>::NEW)
    }

    /// CBOR data items (RFC 8949), whole.
    pub fn cbor() -> Framing {
        Framing::custom(Values::<cbor::Cbor>::NEW)
    }

    /// BER and DER values (X.690), whole.
    pub fn ber() -> Framing {
        Framing::custom(Values::<ber::Ber>::NEW)
    }

    /// WebSocket frames (RFC 6455) behind the handshake, their payload unmasked. The fields are `fin`, `rsv`, `opcode`,
    /// `masked` and `key`.
    pub fn websocket() -> Framing {
        Framing::custom(WebSocket { from: From::Anyone })
    }

    /// The same, where every frame comes from a client and must be masked.
    pub fn websocket_from_client() -> Framing {
        Framing::custom(WebSocket { from: From::Client })
    }

    /// The same, where every frame comes from a server and must not be masked.
    pub fn websocket_from_server() -> Framing {
        Framing::custom(WebSocket { from: From::Server })
    }

    /// The chunks of an HTTP body (RFC 9112 section 7.1). The one without data is the last, and its trailers belong to it.
    pub fn http_chunked() -> Framing {
        Framing::custom(chunked::Chunked)
    }

    /// git's pkt-lines. The field `kind` is 4 for a line, 0 for a flush, 1 for a delimiter and 2 for a response's end.
    pub fn pkt_line() -> Framing {
        Framing::custom(pkt_line::PktLine)
    }

    /// HL7's messages between `0b` and `1c 0d`.
    pub fn mllp() -> Framing {
        Framing::custom(mllp::Mllp)
    }

    /// HDLC with escaped bytes and a check of 16 bits (RFC 1662). The notation has the other kinds.
    pub fn hdlc() -> Framing {
        Framing::custom(Hdlc { bits: false, check: Check::Crc16 })
    }

    /// ZeroMQ's frames, ZMTP 2 and 3. The field `flags` is 255 for the greeting.
    pub fn zmtp() -> Framing {
        Framing::custom(zmtp::Zmtp { first: false })
    }

    /// ZeroMQ's frames, ZMTP 1.
    pub fn zmtp1() -> Framing {
        Framing::custom(zmtp::Zmtp { first: true })
    }

    /// AMQP 0-9-1's frames. The fields are `type` (65 for the protocol header) and `channel`.
    pub fn amqp() -> Framing {
        Framing::custom(amqp::Amqp { one: false })
    }

    /// AMQP 1.0's frames, with the same fields.
    pub fn amqp1() -> Framing {
        Framing::custom(amqp::Amqp { one: true })
    }

    /// The fragments of ONC RPC's records (RFC 5531 section 11). The field `last` is 1 for a record's last.
    pub fn onc_rpc() -> Framing {
        Framing::custom(onc_rpc::OncRpc)
    }
}
