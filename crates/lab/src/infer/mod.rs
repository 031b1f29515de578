//! Which framing do these bytes have? Ranked notations with what speaks for each, and `ambiguous` rather than a guess.
//!
//! ```
//! use unglue_lab::infer::{Stream, Verdict, infer};
//!
//! let mut bytes = Vec::new();
//! for word in ["one", "three", "eleven", "four", "seventeen", "twenty", "to"] {
//!     bytes.extend((word.len() as u32).to_be_bytes());
//!     bytes.extend(word.bytes());
//! }
//! let found = infer(&[Stream::whole("words", bytes)]);
//! assert_eq!((found.verdict, &found.candidates[0].notation[..]), (Verdict::Certain, "u32be"));
//! ```
//!
//! Each hypothesis (every layout with a length, records of one size, delimiters, and every preset that the framing library
//! lists) is scored in bits: how improbable it is that bytes which don't have this framing would fit so well. `score.rs` says how.
//! A verdict needs the best hypothesis to be far above zero, and far above the next one that finds other frames.

mod background;
mod column;
mod gather;
mod notation;
mod parse;
mod prefix;
mod preset;
mod score;
mod search;
mod text;
mod verdict;

pub use gather::{Gathered, gather};
use serde::Serialize;

use score::Corpus;

/// The bytes of a stream that are searched.
pub const WINDOW: usize = 64 << 10;

/// One direction of a connection, or a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// A name for people.
    pub name: String,
    /// Its bytes, from as early as they are known.
    pub bytes: Vec<u8>,
    /// Whether they end where the sender stopped, as far as is known. They don't where they were cut to a window.
    pub ends: bool,
}

impl Stream {
    /// A stream with all its bytes. Only its first [`WINDOW`] bytes are kept.
    pub fn whole(name: impl Into<String>, mut bytes: Vec<u8>) -> Stream {
        let ends = bytes.len() <= WINDOW;
        bytes.truncate(WINDOW);
        Stream { name: name.into(), bytes, ends }
    }
}

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The bytes don't tell.
    Ambiguous,
    /// The first candidate fits well and better than all others.
    Likely,
    /// Bytes without this framing would hardly look like this.
    Certain,
}

/// A framing that the bytes may have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// In the notation of `unglue frame`.
    pub notation: String,
    /// What speaks for it, in bits.
    pub score: f64,
    /// What that is, in words.
    pub evidence: Vec<String>,
    /// The byte at which its first whole frame begins, where that isn't the first.
    #[serde(skip_serializing_if = "is_zero")]
    pub offset: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What was found out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inference {
    /// How sure it is.
    pub verdict: Verdict,
    /// The best first.
    pub candidates: Vec<Candidate>,
}

/// Finds the framing that all these streams share.
pub fn infer(streams: &[Stream]) -> Inference {
    let streams: Vec<Stream> = streams.iter().filter(|stream| !stream.bytes.is_empty()).cloned().collect();
    if streams.is_empty() {
        return Inference { verdict: Verdict::Ambiguous, candidates: Vec::new() };
    }
    let corpus = Corpus::of(&streams);
    let mut found = search::from_the_start(&corpus);
    found.extend(search::fixed(&corpus));
    found.extend(text::delimited(&corpus));
    found.extend(preset::named(&corpus));
    let mut ranking = verdict::Ranking::of(found);
    if !ranking.settles() {
        let late = !ranking.has_some();
        ranking = ranking.with(search::from_elsewhere(&corpus, late));
    }
    ranking.tell(&corpus)
}
