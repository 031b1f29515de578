//! Runs a stream through a deframer in given chunks, in each of the ways there are.

use bytes::BytesMut;
use unglue_frame::{BytesDeframer, DecodeError, Deframer, Frame, Framing, OwnedFrame, Skipped};

/// A frame, owned, for comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) offset: u64,
    pub(crate) head: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) fields: Vec<u64>,
    pub(crate) is_cut: bool,
}

/// All that a reader learns from a stream: its frames, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) frames: Vec<Seen>,
    pub(crate) end: Result<(), DecodeError>,
    pub(crate) skipped: Skipped,
}

fn seen(frame: Frame<'_>) -> Seen {
    let fields = (0..frame.field_count()).map(|index| frame.field(index)).collect();
    let (head, data) = (frame.head().to_vec(), frame.data().to_vec());
    Seen { offset: frame.offset(), head, data, fields, is_cut: frame.is_cut() }
}

fn owned(frame: OwnedFrame) -> Seen {
    let OwnedFrame { data, head, fields, offset, is_cut, .. } = frame;
    Seen { offset, head: head.to_vec(), data: data.to_vec(), fields, is_cut }
}

/// The ways of giving bytes to a deframer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Decode,
    Frames,
    Feed,
    Space,
    Bytes,
    /// Each chunk by another way, some of which leave frames to the next.
    Mixed,
}

pub(crate) const WAYS: [Way; 6] = [Way::Decode, Way::Frames, Way::Feed, Way::Space, Way::Bytes, Way::Mixed];

/// The run over `chunks`.
pub(crate) fn run<'a>(framing: &Framing, chunks: impl IntoIterator<Item = &'a [u8]>, way: Way) -> Run {
    if way == Way::Bytes {
        return run_bytes(framing, chunks);
    }
    let mut deframer = Deframer::new(framing.clone());
    let mut frames = Vec::new();
    for (at, chunk) in chunks.into_iter().enumerate() {
        let way = match way {
            Way::Mixed => [Way::Decode, Way::Feed, Way::Frames, Way::Mixed, Way::Space, Way::Mixed, Way::Feed]
                [(at + chunk.len()) % 7],
            way => way,
        };
        if let Err(error) = chunk_in(&mut deframer, chunk, way, &mut frames) {
            // An error is final, whatever follows.
            assert_eq!(deframer.next().err(), Some(error));
            assert_eq!(deframer.decode(&mut &b"more"[..]).err(), Some(error));
            return Run { frames, end: Err(error), skipped: deframer.skipped() };
        }
    }
    let end = loop {
        match deframer.end() {
            Ok(Some(frame)) => frames.push(seen(frame)),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    Run { frames, end, skipped: deframer.skipped() }
}

fn run_bytes<'a>(framing: &Framing, chunks: impl IntoIterator<Item = &'a [u8]>) -> Run {
    let (mut deframer, mut input, mut frames) = (BytesDeframer::new(framing.clone()), BytesMut::new(), Vec::new());
    let end = 'end: {
        for chunk in chunks {
            input.extend_from_slice(chunk);
            loop {
                match deframer.decode(&mut input) {
                    Ok(Some(frame)) => {
                        frames.push(owned(frame));
                    }
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(deframer.decode(&mut input).err(), Some(error));
                        break 'end Err(error);
                    }
                }
            }
        }
        loop {
            match deframer.decode_eof(&mut input) {
                Ok(Some(frame)) => frames.push(owned(frame)),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        }
    };
    Run { frames, end, skipped: deframer.skipped() }
}

fn chunk_in(
    deframer: &mut Deframer,
    mut chunk: &[u8],
    way: Way,
    seen_frames: &mut Vec<Seen>,
) -> Result<(), DecodeError> {
    match way {
        Way::Decode => {
            while let Some(frame) = deframer.decode(&mut chunk)? {
                seen_frames.push(seen(frame));
            }
            assert!(chunk.is_empty());
        }
        Way::Frames => {
            for frame in deframer.frames(&mut chunk) {
                seen_frames.push(seen(frame?));
            }
            assert!(chunk.is_empty());
        }
        Way::Mixed => {
            // One frame of a batch, another by itself, and the rest of the bytes is fed.
            if let Some(frame) = deframer.frames(&mut chunk).next() {
                seen_frames.push(seen(frame?));
            }
            if let Some(frame) = deframer.decode(&mut chunk)? {
                seen_frames.push(seen(frame));
            }
            if let Some(frame) = deframer.batch().next() {
                seen_frames.push(seen(frame?));
            }
            deframer.feed(chunk);
            while let Some(frame) = deframer.next()? {
                seen_frames.push(seen(frame));
            }
        }
        Way::Feed | Way::Space | Way::Bytes => {
            if matches!(way, Way::Feed) {
                deframer.feed(chunk);
            } else {
                deframer.space(chunk.len().max(7))[..chunk.len()].copy_from_slice(chunk);
                deframer.filled(chunk.len());
            }
            while let Some(frame) = deframer.next()? {
                seen_frames.push(seen(frame));
            }
        }
    }
    Ok(())
}

/// The run over the whole stream in one piece.
pub(crate) fn whole(framing: &Framing, stream: &[u8]) -> Run {
    run(framing, [stream], Way::Decode)
}
