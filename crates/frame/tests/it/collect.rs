//! Runs a stream through a deframer in given chunks, in each of the ways there are.

use bytes::BytesMut;
use unglue_frame::{BytesDeframer, DecodeError, Deframer, Frame, Framing};

/// A frame, owned, for comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) offset: u64,
    pub(crate) head: Vec<u8>,
    pub(crate) data: Vec<u8>,
}

/// All that a reader learns from a stream: its frames, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) frames: Vec<Seen>,
    pub(crate) end: Result<(), DecodeError>,
}

fn seen(frame: Frame<'_>) -> Seen {
    Seen { offset: frame.offset(), head: frame.head().to_vec(), data: frame.data().to_vec() }
}

/// The ways of giving bytes to a deframer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Decode,
    Frames,
    Feed,
    Space,
    Bytes,
}

pub(crate) const WAYS: [Way; 5] = [Way::Decode, Way::Frames, Way::Feed, Way::Space, Way::Bytes];

/// The run over `chunks`.
pub(crate) fn run<'a>(framing: &Framing, chunks: impl IntoIterator<Item = &'a [u8]>, way: Way) -> Run {
    if way == Way::Bytes {
        return run_bytes(framing, chunks);
    }
    let mut deframer = Deframer::new(framing.clone());
    let mut frames = Vec::new();
    for chunk in chunks {
        if let Err(error) = chunk_in(&mut deframer, chunk, way, &mut frames) {
            // An error is final, whatever follows.
            assert_eq!(deframer.next().err(), Some(error));
            assert_eq!(deframer.decode(&mut &b"more"[..]).err(), Some(error));
            return Run { frames, end: Err(error) };
        }
    }
    let end = loop {
        match deframer.end() {
            Ok(Some(frame)) => frames.push(seen(frame)),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    Run { frames, end }
}

fn run_bytes<'a>(framing: &Framing, chunks: impl IntoIterator<Item = &'a [u8]>) -> Run {
    let (mut deframer, mut input, mut frames) = (BytesDeframer::new(framing.clone()), BytesMut::new(), Vec::new());
    let end = 'end: {
        for chunk in chunks {
            input.extend_from_slice(chunk);
            loop {
                match deframer.decode(&mut input) {
                    Ok(Some(frame)) => {
                        frames.push(Seen {
                            offset: frame.offset,
                            head: frame.head.to_vec(),
                            data: frame.data.to_vec(),
                        });
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
                Ok(Some(frame)) => {
                    frames.push(Seen { offset: frame.offset, head: frame.head.to_vec(), data: frame.data.to_vec() });
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        }
    };
    Run { frames, end }
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
