//! The test kit does what it says: otherwise the tests that use it prove nothing.

mod misbehaving;
mod relay;
