//! The `unglue` command.
fn main() {}
