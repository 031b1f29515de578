//! The house rules, as tests: who may import whom, what a file may be called, how long things may grow, and what
//! product code never contains.
//!
//! `ARCHITECTURE.md` draws the picture; this keeps it true. A rule that is broken names the file and the line, and
//! says what to do. To change a rule, change it here and in the document, in one commit with its reason.

mod edges;
mod sizes;
mod source;
mod text;

/// Fails with one line for each broken rule, so that all of them are seen in one run.
fn assert_none(broken: &[String], what_to_do: &str) {
    assert!(broken.is_empty(), "{} broken:\n  {}\n{what_to_do}", broken.len(), broken.join("\n  "));
}
