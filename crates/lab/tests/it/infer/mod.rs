//! Framings inferred: from streams that are made here, from captures of real programs, and from what has none.

mod damaged;
mod generated;
mod nothing;
mod programs;
mod words;

use unglue_frame::{Deframer, Framing};
use unglue_lab::infer::{Inference, Stream, infer};

/// What is found in one stream.
fn of(bytes: &[u8]) -> Inference {
    infer(&[Stream::whole("test", bytes.to_vec())])
}

/// The lengths of the whole frames that a notation finds; `None` if the bytes aren't of it.
fn lengths(notation: &str, bytes: &[u8]) -> Option<Vec<usize>> {
    let framing: Framing = notation.parse().unwrap_or_else(|error| panic!("{notation}: {error}"));
    let (mut deframer, mut input) = (Deframer::new(framing), bytes);
    deframer.frames(&mut input).map(|frame| frame.ok().map(|frame| frame.raw().len())).collect()
}
