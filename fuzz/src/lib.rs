//! What the fuzzers check. `cargo +nightly fuzz run splits` in this directory's parent. The corpus is replayed by the ordinary
//! tests too: those of `unglue-frame` include `checks.rs`, those of `unglue-identity` include `identity.rs`, those of `unglue-proto`
//! include `proto.rs`.

pub mod checks;
pub mod identity;
pub mod proto;
