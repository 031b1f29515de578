//! The protocols that need code: real bytes, every split, hostile streams, and the way back.

mod adapters;
mod cuts;
mod encode;
mod hostile;
mod names;
mod oracles;
mod random;
mod samples;

use unglue_frame::{Deframer, Framing};

fn framing(notation: &str) -> Framing {
    notation.parse().unwrap_or_else(|error| panic!("{notation}: {error}"))
}

/// The data of the frames in a stream, and the error that ended it.
fn frames(notation: &str, stream: &[u8]) -> (Vec<Vec<u8>>, Option<String>) {
    let mut deframer = Deframer::new(framing(notation));
    let (mut frames, mut input) = (Vec::new(), stream);
    loop {
        match deframer.decode(&mut input) {
            Ok(Some(frame)) => frames.push(frame.data().to_vec()),
            Ok(None) => return (frames, deframer.finish().err().map(|error| error.to_string())),
            Err(error) => return (frames, Some(error.to_string())),
        }
    }
}

/// What a stream's error says.
fn says(notation: &str, stream: &[u8]) -> String {
    frames(notation, stream).1.unwrap_or_else(|| panic!("{notation} takes {stream:02x?}"))
}
