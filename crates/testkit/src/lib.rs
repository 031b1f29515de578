//! Chopper, relay, virtual clock and misbehaving peers for unglue's own tests.
//!
//! | module | what it is for |
//! |---|---|
//! | [`prng`] | random numbers that a seed repeats, and the loop that tells the seed of a failure |
//! | [`chopper`] | every way to cut a byte stream into chunks |
//! | [`clock`] | time that moves by hand |
//! | [`heap`] | how much memory a thread holds |
//! | [`port`] | ports of loopback that nothing else takes meanwhile |
//! | [`relay`] | a TCP relay that cuts, stalls, delays, drops and breaks what it carries |
//! | [`misbehaving`] | peers that misbehave before they have authenticated |
//!
//! Never published, and only ever a dev-dependency.

pub mod chopper;
pub mod clock;
pub mod heap;
pub mod misbehaving;
pub mod port;
pub mod prng;
pub mod relay;

pub use clock::Clock;
pub use prng::Prng;
