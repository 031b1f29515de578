//! Both ends of a link, driven against each other and against an adversary, under a clock that moves by hand.

mod amplification;
mod chunking;
mod compressed;
mod corpus;
mod distance;
mod documented;
mod foreign;
mod go_away;
mod golden;
mod heartbeat;
mod malformed;
mod memory;
mod model;
mod pair;
mod streams;
mod windows;
mod wire;

#[global_allocator]
static HEAP: unglue_testkit::heap::Counting = unglue_testkit::heap::Counting;
