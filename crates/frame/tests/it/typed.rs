//! Structs in place of lists of fields.

use unglue_frame::{
    Deframer, EncodeError, Enframer, Frame,
    typed::{FieldValue, FrameHeader, FrameMessage, TypedError},
};

#[derive(Clone, Debug, PartialEq, Frame)]
#[frame("len:u24be type:u8 flags:u8 id:u32be data[len] (max=16K)")]
struct Http2 {
    // In another order than the layout's.
    id: u32,
    #[frame(data)]
    payload: Vec<u8>,
    #[frame(name = "type")]
    kind: Kind,
    flags: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Data,
    Ping,
}

impl FieldValue for Kind {
    fn from_field(value: u64) -> Option<Kind> {
        match value {
            0 => Some(Kind::Data),
            6 => Some(Kind::Ping),
            _ => None,
        }
    }

    fn to_field(&self) -> u64 {
        match self {
            Kind::Data => 0,
            Kind::Ping => 6,
        }
    }
}

#[derive(Debug, PartialEq, Frame)]
#[frame("01 type:u8 id:u16be len:u16be p:u8 _ data[len] pad[p]")]
struct Record<'a>(
    #[frame(name = "p")] u8,
    #[frame(name = "type")] u64,
    #[frame(data)] &'a str,
    #[frame(name = "id")] u16,
);

/// A preset's fields are read by their order.
#[derive(Debug, PartialEq, Frame)]
#[frame("websocket(from=client)")]
struct WebSocket {
    fin: bool,
    rsv: u8,
    opcode: u8,
    masked: bool,
    key: u32,
}

fn one<T>(framing: unglue_frame::Framing, wire: &[u8], read: impl FnOnce(&Frame<'_>) -> T) -> T {
    let mut deframer = Deframer::new(framing);
    let mut input = wire;
    read(&deframer.decode(&mut input).unwrap().expect("a whole frame"))
}

#[test]
fn a_struct_goes_out_and_comes_back() {
    let ping = Http2 { id: 0, payload: b"pingpong".to_vec(), kind: Kind::Ping, flags: 1 };
    let framing = Http2::framing().unwrap();
    let mut wire = Vec::new();
    ping.encode(&Enframer::new(framing.clone()), &mut wire).unwrap();
    assert_eq!(wire, b"\0\0\x08\x06\x01\0\0\0\0pingpong");
    // The data is owned, so it may come from a copy.
    let fields: Vec<u64> = ping.to_fields().to_vec();
    assert_eq!(fields, [6, 1, 0]);
    assert_eq!(Http2::NAMES, ["type", "flags", "id"]);
    assert_eq!(Http2::from_parts(&fields, b"pingpong"), Ok(ping));
    let seen = one(framing, &wire, |frame| (frame.field(0), frame.field_count(), frame.data().to_vec()));
    assert_eq!(seen, (6, 3, b"pingpong".to_vec()));
}

#[test]
fn data_is_borrowed_from_the_frame() {
    let wire = b"\x01\x05\0\x01\0\x05\x03\0abcde\0\0\0";
    let mut deframer = Deframer::new(Record::framing().unwrap());
    let mut input = &wire[..];
    let frame = deframer.decode(&mut input).unwrap().unwrap();
    let record = Record::from_frame(&frame).unwrap();
    assert_eq!(record, Record(3, 5, "abcde", 1));
    assert!(wire.as_ptr_range().contains(&record.2.as_ptr()));
    let mut out = Vec::new();
    record.encode(&Enframer::new(Record::framing().unwrap()), &mut out).unwrap();
    assert_eq!(out, wire);
}

#[test]
fn what_a_type_cant_hold_is_named() {
    let wrong = Http2::from_parts(&[3, 0, 0], b"").unwrap_err();
    assert_eq!(wrong, TypedError::Value { name: "type", got: 3 });
    let wrong = Http2::from_parts(&[0, 256, 0], b"").unwrap_err();
    assert_eq!(wrong.to_string(), "the field flags is 256, which its type has no value for");
    let wrong = Record::from_parts(&[1, 2, 3], b"\xff").unwrap_err();
    assert_eq!(wrong.to_string(), "the data's 1 bytes are not a value of &str");
    assert_eq!(Http2::from_parts(&[0], b""), Err(TypedError::Fields { got: 1, want: 3 }));
    // A frame of another framing.
    let other = one("u8".parse().unwrap(), b"\x01a", WebSocket::from_frame);
    assert_eq!(other, Err(TypedError::Fields { got: 0, want: 5 }));
}

#[test]
fn a_header_travels_beside_its_data() {
    let header = WebSocket { fin: true, rsv: 0, opcode: 1, masked: true, key: 0x37fa_213d };
    let framing = WebSocket::framing().unwrap();
    assert!(framing.field_names().eq(WebSocket::NAMES.iter().copied()));
    let mut wire = Vec::new();
    header.encode(&Enframer::new(framing.clone()), b"Hello", &mut wire).unwrap();
    assert_eq!(wire, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    one(framing.clone(), &wire, |frame| {
        assert_eq!(WebSocket::from_frame(frame), Ok(header));
        assert_eq!(frame.data(), b"Hello");
    });
    let wide = WebSocket { fin: true, rsv: 9, opcode: 1, masked: true, key: 0 };
    let error = wide.encode(&Enframer::new(framing), b"", &mut wire).unwrap_err();
    assert!(matches!(error, EncodeError::Field { index: 1, got: 9, limit: 7, .. }));
}
