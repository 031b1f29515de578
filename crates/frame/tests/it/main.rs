//! What every framing promises, seen from outside.

mod collect;
mod prefixes;
mod splits;
