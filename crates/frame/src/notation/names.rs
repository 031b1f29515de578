//! Protocols by their names: layouts that many programs need, and rules that no layout can say.

use super::{
    Problem, Wrong,
    args::{Args, Value},
};
use crate::{
    Framing,
    protocols::{Check, Hdlc},
};

/// A protocol's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Protocol {
    /// How it is written. Options may follow: `mqtt(max=64K)`.
    pub name: &'static str,
    /// The notation that it stands for, where one can say it.
    pub notation: Option<&'static str>,
    /// What it is, and from where on the stream has these frames.
    pub meaning: &'static str,
    /// A frame, as it is on the wire.
    pub example: &'static [u8],
}

const fn layout(name: &'static str, notation: &'static str, meaning: &'static str, example: &'static [u8]) -> Protocol {
    Protocol { name, notation: Some(notation), meaning, example }
}

const fn code(name: &'static str, meaning: &'static str, example: &'static [u8]) -> Protocol {
    Protocol { name, notation: None, meaning, example }
}

const PROTOCOLS: &[Protocol] = &[
    layout(
        "ajp13",
        "magic:u16be len:u16be data[len]",
        "AJP 1.3; magic is 1234 from the web server, 4142 to it",
        b"\x12\x34\0\x01\x0a",
    ),
    code("amqp", "AMQP 0-9-1 (RabbitMQ); the protocol header is a frame of type 65", b"\x08\0\0\0\0\0\0\xce"),
    code("amqp1", "AMQP 1.0; the protocol header is a frame of type 65", b"\0\0\0\x08\x02\0\0\0"),
    code("ber", "BER and DER values, whole (LDAP, SNMP over TCP)", b"0\x05\x02\x01\x01B\0"),
    layout(
        "bgp",
        "ff*16 len:u16be type:u8 data[len-19]",
        "BGP-4 (RFC 4271)",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\x13\x04",
    ),
    layout(
        "cassandra",
        "ver:u8 flags:u8 stream:u16be op:u8 len:u32be data[len]",
        "Cassandra's native protocol, versions 3 and 4, and the start of 5",
        b"\x04\0\0\0\x05\0\0\0\0",
    ),
    code("cbor", "CBOR data items, whole (RFC 8949)", b"\x83\x01\x02\x03"),
    layout(
        "diameter",
        "01 len:u24be flags:u8 code:u24be app:u32be hop:u32be end:u32be data[len-20]",
        "Diameter (RFC 6733)",
        b"\x01\0\0\x14\x80\0\x01\x18\0\0\0\0\0\0\0\x01\0\0\0\x02",
    ),
    layout("dns", "u16be", "DNS over TCP and TLS (RFC 1035, RFC 7858)", b"\0\x0c\x12\x34\x01\0\0\0\0\0\0\0\0\0"),
    layout(
        "ethernet-ip",
        "cmd:u16le len:u16le session:u32le status:u32le context:u64le options:u32le data[len]",
        "EtherNet/IP encapsulation",
        b"\x63\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ),
    layout(
        "fastcgi",
        "01 type:u8 id:u16be len:u16be p:u8 _ data[len] pad[p]",
        "FastCGI records",
        b"\x01\x05\0\x01\0\x05\x03\0abcde\0\0\0",
    ),
    layout("fins", "46 49 4e 53 len:u32be data[len]", "Omron FINS over TCP", b"FINS\0\0\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0"),
    layout(
        "gearman",
        "00 52 45 magic:u8 type:u32be len:u32be data[len]",
        "Gearman; magic is 51 (hex) in requests, 53 in responses",
        b"\0REQ\0\0\0\x10\0\0\0\x02hi",
    ),
    code("git", "the same as pkt-line", b"0006a\n"),
    layout("grpc", "flag:u8 len:u32be data[len]", "gRPC messages, within HTTP/2's data", b"\0\0\0\0\x02\x08\x01"),
    code(
        "hdlc",
        "HDLC with escaped bytes and a 16-bit check (PPP, RFC 1662); hdlc(stuff=bit), fcs=16, 32 or none",
        b"~123456789n\x90~",
    ),
    layout(
        "hislip",
        "48 53 type:u8 control:u8 param:u32be len:u64be data[len]",
        "HiSLIP, instruments over a network (IVI-6.1)",
        b"HS\x0c\0\0\0\0\x01\0\0\0\0\0\0\0\x05*IDN?",
    ),
    code("hl7", "the same as mllp", b"\x0bMSH|^~\\&|\r\x1c\r"),
    code(
        "http-chunked",
        "HTTP's chunked bodies; the chunk without data is the last, and has the trailers",
        b"5\r\nhello\r\n",
    ),
    layout(
        "http2",
        "len:u24be type:u8 flags:u8 id:u32be data[len]",
        "HTTP/2, behind the client's preface (RFC 9113)",
        b"\0\0\x08\x06\x01\0\0\0\0pingpong",
    ),
    layout("iec104", "68 len:u8 data[len]", "IEC 60870-5-104, power grids", b"\x68\x04\x43\0\0\0"),
    code("json", "JSON values, whole, with or without blanks between them (RFC 8259, 7464)", b"{\"id\":1}\n"),
    layout("kafka", "u32be", "Kafka requests and responses", b"\0\0\0\x0c\0\x12\0\0\0\0\0\x01\0\x02me"),
    layout("knxip", "06 10 svc:u16be len:u16be data[len-6]", "KNXnet/IP over TCP", b"\x06\x10\x02\x06\0\x08\x01\0"),
    code("ldap", "the same as ber", b"0\x05\x02\x01\x01B\0"),
    layout(
        "ldp",
        "00 01 len:u16be data[len]",
        "LDP (RFC 5036)",
        b"\0\x01\0\x0e\x0a\0\0\x01\0\0\x02\x01\0\x04\0\0\0\x01",
    ),
    layout(
        "memcached",
        "magic:u8 op:u8 key:u16be extras:u8 type:u8 status:u16be len:u32be opaque:u32be cas:u64be data[len]",
        "memcached's binary protocol",
        b"\x80\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ),
    code("mllp", "HL7's messages between 0b and 1c 0d", b"\x0bMSH|^~\\&|\r\x1c\r"),
    layout(
        "modbus",
        "tx:u16be 00 00 len:u16be data[len]",
        "Modbus/TCP; the data begins with the unit",
        b"\0\x01\0\0\0\x06\x11\x03\0\x6b\0\x03",
    ),
    layout(
        "mongodb",
        "len:u32le id:u32le to:u32le op:u32le data[len-16]",
        "MongoDB's wire protocol",
        b"\x1a\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\x05\0\0\0\0",
    ),
    layout("mqtt", "hdr:u8 len:varint(4) data[len]", "MQTT 3 and 5", b"\x30\x06\0\x03a/bx"),
    code("msgpack", "MessagePack values, whole", b"\x82\xa1a\x01\xa1b\xc0"),
    layout("mysql", "len:u24le seq:u8 data[len]", "MySQL and MariaDB, without compression", b"\x01\0\0\0\x0e"),
    code(
        "onc-rpc",
        "ONC RPC's record marking (NFS); a fragment is a frame, with the field last",
        b"\x80\0\0\x04\0\0\0\x01",
    ),
    layout(
        "opcua",
        "type:u24be chunk:u8 len:u32le data[len-8]",
        "OPC UA over TCP",
        b"ACKF\x1c\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0",
    ),
    layout("openflow", "ver:u8 type:u8 len:u16be xid:u32be data[len-8]", "OpenFlow", b"\x01\0\0\x08\0\0\0\x01"),
    layout("openvpn", "u16be", "OpenVPN over TCP", b"\0\x0e\x38\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0"),
    code(
        "pkt-line",
        "git's pkt-lines, with the field kind: 0 flush, 1 delimiter, 2 response's end, 4 line",
        b"0006a\n",
    ),
    layout(
        "postgres",
        "tag:u8 len:u32be data[len-4]",
        "PostgreSQL, behind the start-up message, which is u32be(incl)",
        b"Q\0\0\0\x0dSELECT 1\0",
    ),
    layout("protobuf", "varint", "protobuf's delimited messages", b"\x03\x08\x96\x01"),
    code("redis", "the same as resp", b"*1\r\n$4\r\nPING\r\n"),
    code("resp", "Redis commands and replies, whole, RESP2 and RESP3", b"*1\r\n$4\r\nPING\r\n"),
    layout("smb", "00 len:u24be data[len]", "SMB over TCP (port 445)", b"\0\0\0\x04\xfeSMB"),
    layout(
        "smpp",
        "len:u32be id:u32be status:u32be seq:u32be data[len-16]",
        "SMPP 3.4 and 5",
        b"\0\0\0\x10\0\0\0\x15\0\0\0\0\0\0\0\x01",
    ),
    layout("stomp", "nul", "STOMP, bodies without zero bytes", b"CONNECT\naccept-version:1.2\n\n\0"),
    layout(
        "stun",
        "type:u16be len:u16be 21 12 a4 42 id-a:u32be id-b:u64be data[len]",
        "STUN over TCP (RFC 8489)",
        b"\0\x01\0\0\x21\x12\xa4\x42\0\0\0\x01\0\0\0\0\0\0\0\x02",
    ),
    layout(
        "synchrophasor",
        "aa type:u8 len:u16be data[len-4]",
        "synchrophasors (IEEE C37.118); the check is in the data",
        b"\xaa\x41\0\x12\0\x07\x45\x08\x10\x1c\x0f\0\0\0\0\x02\x12\x34",
    ),
    layout(
        "tds",
        "type:u8 status:u8 len:u16be spid:u16be packet:u8 window:u8 data[len-8]",
        "TDS (SQL Server, Sybase)",
        b"\x06\x01\0\x08\0\0\x01\0",
    ),
    layout("thrift", "u32be", "Thrift's framed transport", b"\0\0\0\x04\x80\x01\0\x01"),
    layout(
        "tls",
        "type:u8 ver:u16be len:u16be data[len] (max=18432)",
        "TLS records (RFC 8446 section 5)",
        b"\x15\x03\x03\0\x02\x01\0",
    ),
    layout("tpkt", "03 _ len:u16be data[len-4]", "TPKT (RFC 1006): S7, MMS, RDP, H.323", b"\x03\0\0\x07\x02\xf0\x80"),
    code(
        "websocket",
        "WebSocket frames behind the handshake, unmasked; from=client or server says whose",
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
    ),
    code("zmtp", "ZeroMQ, ZMTP 2 and 3; the greeting is a frame with the flags 255", b"\0\x02hi"),
    code("zmtp1", "ZeroMQ, ZMTP 1", b"\x03\0hi"),
];

/// The protocols that have a name, in alphabetical order.
pub fn protocols() -> &'static [Protocol] {
    PROTOCOLS
}

/// The framing of a protocol's name. Its own arguments are taken out of the list.
pub(super) fn protocol(name: &str, list: &mut Args<'_>) -> Result<Option<Framing>, Wrong> {
    Ok(Some(match name {
        "amqp" => Framing::amqp(),
        "amqp1" => Framing::amqp1(),
        "ber" | "ldap" => Framing::ber(),
        "cbor" => Framing::cbor(),
        "hdlc" => hdlc(list)?,
        "http-chunked" => Framing::http_chunked(),
        "json" => Framing::json(),
        "mllp" | "hl7" => Framing::mllp(),
        "msgpack" => Framing::msgpack(),
        "onc-rpc" => Framing::onc_rpc(),
        "pkt-line" | "git" => Framing::pkt_line(),
        "resp" | "redis" => Framing::resp(),
        "websocket" => websocket(list)?,
        "zmtp" => Framing::zmtp(),
        "zmtp1" => Framing::zmtp1(),
        _ => match PROTOCOLS.iter().find(|protocol| protocol.name == name).and_then(|protocol| protocol.notation) {
            Some(notation) => super::parse(notation)?,
            None => return Ok(None),
        },
    }))
}

fn websocket(list: &mut Args<'_>) -> Result<Framing, Wrong> {
    Ok(match word(list, "from", &["client", "server"], "from=client or from=server")? {
        None => Framing::websocket(),
        Some(0) => Framing::websocket_from_client(),
        Some(_) => Framing::websocket_from_server(),
    })
}

fn hdlc(list: &mut Args<'_>) -> Result<Framing, Wrong> {
    let bits = word(list, "stuff", &["byte", "bit"], "stuff=byte or stuff=bit")? == Some(1);
    let check = match word(list, "fcs", &["16", "32", "none"], "fcs=16, 32 or none")? {
        None | Some(0) => Check::Crc16,
        Some(1) => Check::Crc32,
        Some(_) => Check::None,
    };
    Ok(Framing::custom(Hdlc { bits, check }))
}

/// Takes the argument of this name out of the list: the index of its value among those that there are.
fn word(list: &mut Args<'_>, name: &str, values: &[&str], expected: &'static str) -> Result<Option<usize>, Wrong> {
    let Some(place) = list.iter().position(|arg| arg.key == Some(name)) else { return Ok(None) };
    let arg = list.remove(place);
    if let Some(again) = list.iter().find(|arg| arg.key == Some(name)) {
        return Err((again.at, Problem::Expected("this argument once")));
    }
    let found = match arg.value {
        Value::Word(value) => values.iter().position(|known| *known == value),
        Value::Text(_) => None,
    };
    found.map(Some).ok_or((arg.at, Problem::Expected(expected)))
}
