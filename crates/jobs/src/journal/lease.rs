//! How long a command may live without a client that holds it.

use serde::{Deserialize, Serialize};

/// How long a command may live without a client that holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lease {
    /// Not at all.
    Kill(Nothing),
    /// For so long after its last holder has gone.
    Keep(Keep),
    /// As long as it runs.
    Detach(Nothing),
}

/// A body without fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// A time without a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// In milliseconds.
    pub ms: u64,
}

impl Default for Lease {
    fn default() -> Lease {
        Lease::Kill(Nothing {})
    }
}

impl Lease {
    /// `keep` for so many milliseconds.
    pub fn keep(ms: u64) -> Lease {
        Lease::Keep(Keep { ms })
    }

    /// `detach`.
    pub fn detach() -> Lease {
        Lease::Detach(Nothing {})
    }
}
