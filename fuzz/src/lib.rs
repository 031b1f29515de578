//! What the fuzzers check. `cargo +nightly fuzz run splits` in this folder's parent; the corpus is replayed by the ordinary
//! tests of `unglue-frame` as well, which include `checks.rs`, and by those of `unglue-proto`, which include `proto.rs`.

pub mod checks;
pub mod proto;
