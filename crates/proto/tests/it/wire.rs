//! Frames written and read by hand from PROTOCOL.md, not by the code under test: `len:u32be kind:u8 stream:u32be data`.

use unglue_proto::mux::StreamId;

pub(crate) const DATA: u8 = 0;
pub(crate) const FIN: u8 = 1;
pub(crate) const RESET: u8 = 2;
pub(crate) const STOP: u8 = 3;
pub(crate) const WINDOW: u8 = 4;
pub(crate) const PING: u8 = 5;
pub(crate) const GO_AWAY: u8 = 6;
pub(crate) const STREAMS: u8 = 7;
pub(crate) const PONG: u8 = 8;
pub(crate) const ZSTD: u8 = 9;

/// The bytes before a frame's data.
pub(crate) const HEADER: usize = 9;

/// The client's first streams, and the server's.
pub(crate) const CLIENT_BIDI: StreamId = StreamId(0);
pub(crate) const SERVER_BIDI: StreamId = StreamId(1);
pub(crate) const CLIENT_UNI: StreamId = StreamId(2);
pub(crate) const SERVER_UNI: StreamId = StreamId(3);

/// A frame's bytes.
pub(crate) fn frame(kind: u8, stream: StreamId, data: &[u8]) -> Vec<u8> {
    let stream = u32::try_from(stream.0).expect("a stream's number");
    let mut bytes = (data.len() as u32).to_be_bytes().to_vec();
    bytes.push(kind);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// A frame of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) kind: u8,
    pub(crate) stream: StreamId,
    pub(crate) data: Vec<u8>,
}

/// The whole frames of `bytes`, which hold nothing else.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Some((frame, rest)) = first_frame(bytes) {
        seen.push(frame);
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a frame was sent: {bytes:?}");
    seen
}

/// The frame at the front of `bytes`, once it is whole, and what follows it.
pub(crate) fn first_frame(bytes: &[u8]) -> Option<(Seen, &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
    let (data, rest) = rest.split_at_checked(number(&header[..4]) as usize)?;
    let stream = StreamId(u64::from(number(&header[5..])));
    Some((Seen { kind: header[4], stream, data: data.to_vec() }, rest))
}
