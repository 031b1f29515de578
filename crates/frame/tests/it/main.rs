//! What every framing promises, seen from outside.

mod adapters;
mod collect;
mod cuts;
mod notation;
mod prefixes;
mod samples;
mod splits;
