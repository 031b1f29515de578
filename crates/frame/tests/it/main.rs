//! What every framing promises, seen from outside.

mod adapters;
mod bodies;
mod bugs;
mod collect;
mod cuts;
mod memory;
mod notation;
mod prefixes;
mod samples;
mod splits;
