//! What an absurd length really is: most are the first bytes of something else.
//!
//! ```
//! use unglue_lab::explain::explain;
//!
//! let found = explain("Adjusted frame length exceeds 1048576: 1213486160 - discarded")?;
//! assert_eq!(found.value, 1213486160);
//! assert!(found.readings[0].what.contains("HTTP"));
//! # Ok::<(), unglue_lab::explain::Unexplained>(())
//! ```

mod magic;
mod parse;
mod readings;

use serde::Serialize;

pub use parse::Unexplained;

/// How sure a reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sure {
    /// It fits, but much else does too.
    Possible,
    /// It fits, and little else does.
    Likely,
    /// Hardly anything else has this value.
    Certain,
}

/// What the value may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// How sure that is.
    pub sure: Sure,
    /// What it is.
    pub what: String,
    /// What to do next.
    pub next: String,
}

/// A value with all that it may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The number that was looked at.
    pub value: i128,
    /// Its bytes on the wire, as far as the width is known, in hex, most significant first.
    pub bytes: String,
    /// Which program's message it was taken from, where that is known.
    pub source: Option<String>,
    /// The limit that the message names.
    pub limit: Option<u64>,
    /// The surest first.
    pub readings: Vec<Reading>,
}

/// Explains a number (`1195725856`, `-2147483648`), hex (`0x16030100`, `16 03 01 00`) or the text of an error message.
///
/// # Errors
/// There is no number in it.
pub fn explain(text: &str) -> Result<Explanation, Unexplained> {
    let given = parse::parse(text)?;
    let readings = readings::all(&given);
    let bytes = given.bytes().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    Ok(Explanation { value: given.value, bytes, source: given.source, limit: given.limit, readings })
}
