//! What every framing promises, seen from outside.

mod adapters;
mod bodies;
mod bugs;
mod collect;
mod corpus;
mod cuts;
mod maximum;
mod memory;
mod notation;
mod oracles;
mod prefixes;
mod properties;
mod protocols;
mod samples;
mod splits;
mod tokio_util;
