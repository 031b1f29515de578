//! Bytes of a stream as a zstd block: the number of the plain bytes as a `u32`, then one zstd frame.
//!
//! A block stands alone: nothing is kept from one to the next at either end. [`Block::pack`] is the one slow call of the
//! multiplexer, and is made wherever the caller likes; the multiplexer waits for its result in [`Mux::packed`](super::Mux::packed).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use zstd::zstd_safe::{DCtx, find_frame_compressed_size};

use super::StreamId;
use crate::limits::FRAME_PAYLOAD;
use crate::{Code, Fault};

/// Bytes before the zstd frame.
const HEAD: usize = 4;

/// A block that is smaller than its plain bytes by less than this share of them is sent plain: one thirty-second.
const GAIN: usize = 32;

/// Compresses blocks. It keeps a context of zstd's, so one per thread is enough.
pub struct Packer {
    zstd: zstd::bulk::Compressor<'static>,
    level: i32,
    joined: Vec<u8>,
    out: Vec<u8>,
}

impl Packer {
    /// A packer; `None` if there is no memory for zstd's context.
    pub fn new() -> Option<Packer> {
        let zstd = zstd::bulk::Compressor::new(1).ok()?;
        Some(Packer { zstd, level: 1, joined: Vec::new(), out: vec![0; FRAME_PAYLOAD] })
    }

    /// The compressed bytes, unless there would be more than `most` of them.
    fn compress(&mut self, level: i32, plain: &[Bytes], most: usize) -> Option<&[u8]> {
        if self.level != level {
            self.zstd.set_compression_level(level).ok()?;
            self.level = level;
        }
        let plain = match plain {
            [one] => &one[..],
            several => {
                self.joined.clear();
                several.iter().for_each(|piece| self.joined.extend_from_slice(piece));
                &self.joined[..]
            }
        };
        let out = self.out.get_mut(..most)?;
        let len = self.zstd.compress_to_buffer(plain, out).ok()?;
        self.out.get(..len)
    }
}

/// Bytes of a stream that are to be compressed before they are sent.
pub struct Block {
    pub(super) stream: StreamId,
    pub(super) ticket: u64,
    pub(super) level: i32,
    pub(super) plain: Vec<Bytes>,
    pub(super) len: usize,
}

impl Block {
    /// Compresses it. That takes as long as its level asks for: up to tens of milliseconds at level 19.
    pub fn pack(self, packer: &mut Packer) -> Packed {
        let most = (self.len - self.len / GAIN).saturating_sub(HEAD);
        let data = packer.compress(self.level, &self.plain, most).map(|zstd| {
            let mut data = BytesMut::with_capacity(HEAD + zstd.len());
            data.extend_from_slice(&(self.len as u32).to_be_bytes());
            data.extend_from_slice(zstd);
            data.freeze()
        });
        Packed { data, ..self.unpacked() }
    }

    /// The block as it is: it will be sent plain.
    pub fn unpacked(&self) -> Packed {
        let Block { stream, ticket, level, len, .. } = *self;
        Packed { stream, ticket, level, len, data: None, took: Duration::ZERO }
    }
}

/// What has become of a [`Block`].
pub struct Packed {
    pub(super) stream: StreamId,
    pub(super) ticket: u64,
    pub(super) level: i32,
    pub(super) len: usize,
    /// Nothing where it did not get smaller.
    pub(super) data: Option<Bytes>,
    pub(super) took: Duration,
}

impl Packed {
    /// How long the packing took, from which `auto` learns what compression costs.
    pub fn took(self, took: Duration) -> Packed {
        Packed { took, ..self }
    }
}

/// Decompresses blocks of the peer. Its memory, about 200 KiB, is taken with the first one.
#[derive(Default)]
pub(super) struct Unpacker {
    context: Option<DCtx<'static>>,
    plain: Vec<u8>,
}

impl Unpacker {
    /// Takes a block apart: how many plain bytes it announces, and the zstd frame.
    pub(super) fn announced(id: StreamId, block: &[u8]) -> Result<(usize, &[u8]), Fault> {
        let bad = |what: String| Err(Fault::peer(Code::BadFrame, what));
        let Some((head, zstd)) = block.split_first_chunk::<HEAD>() else {
            return bad(format!("a zstd frame of {} bytes on {id}, too short for its length", block.len()));
        };
        let len = u32::from_be_bytes(*head) as usize;
        match len {
            1..=FRAME_PAYLOAD => Ok((len, zstd)),
            _ => bad(format!("a zstd frame on {id} announces {len} bytes; 1 to {FRAME_PAYLOAD} are allowed")),
        }
    }

    /// The `len` bytes that the zstd frame holds. No more than these are ever written.
    pub(super) fn unpack(&mut self, id: StreamId, zstd: &[u8], len: usize) -> Result<&[u8], Fault> {
        let bad = |what: String| Err(Fault::peer(Code::BadFrame, what));
        match find_frame_compressed_size(zstd) {
            Ok(size) if size == zstd.len() => {}
            Ok(size) => return bad(format!("{} bytes follow the zstd block on {id}", zstd.len() - size)),
            Err(_) => return bad(format!("{} bytes on {id} are not a whole zstd block", zstd.len())),
        }
        if self.context.is_none() {
            self.context = DCtx::try_create();
            self.plain = vec![0; FRAME_PAYLOAD];
        }
        let Some(context) = &mut self.context else {
            return Err(Fault::system(Code::System, "there is no memory to decompress what the peer sends"));
        };
        let plain = &mut self.plain[..len];
        match context.decompress(plain, zstd) {
            Ok(got) if got == len => Ok(plain),
            Ok(got) => bad(format!("a zstd block on {id} holds {got} bytes, and announces {len}")),
            Err(code) => {
                let why = zstd::zstd_safe::get_error_name(code);
                bad(format!("the zstd block on {id} does not decode to the {len} bytes that it announces: {why}"))
            }
        }
    }
}
