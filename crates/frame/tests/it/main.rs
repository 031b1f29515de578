//! What every framing promises, seen from outside.

mod adapters;
mod bodies;
mod bugs;
mod collect;
mod corpus;
mod custom;
mod cuts;
mod ends;
mod framed;
mod line_ends;
mod maximum;
mod memory;
mod migration;
mod notation;
mod numbers;
mod oracles;
mod phases;
mod prefixes;
mod presets;
mod properties;
mod protocols;
mod samples;
mod splits;
mod stuffed;
mod tokio_util;
mod typed;
