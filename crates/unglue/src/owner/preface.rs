//! The first bytes of a connection to the owner of a state.

/// What a connection is for. These bytes never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preface {
    /// A link follows: its first message is a hello without a proof.
    Link,
    /// The owner is to hand the state over, if it is a resident. Its answer comes once it has done so.
    HandOver,
}

/// The owner takes the connection, or has handed over.
pub(crate) const ACCEPTED: u8 = b'+';
/// The owner doesn't know what the connection is for, or is not a resident.
pub(crate) const REFUSED: u8 = b'-';

impl Preface {
    /// How long a preface is.
    pub(crate) const LEN: usize = 8;

    pub(crate) const fn bytes(self) -> [u8; Self::LEN] {
        match self {
            Preface::Link => *b"unglue1L",
            Preface::HandOver => *b"unglue1H",
        }
    }

    /// Nothing where this version doesn't know it.
    pub(crate) fn of(bytes: [u8; Self::LEN]) -> Option<Preface> {
        [Preface::Link, Preface::HandOver].into_iter().find(|preface| preface.bytes() == bytes)
    }
}
