//! A finding as a regression test, in a file.

use std::fs;
use std::path::Path;

use unglue_lab::torture::{Finding, Settings, regression_test};

use crate::complaint::{Complaint, say};

/// Writes the test. That one can't be written is told, and is no failure: the finding stands.
///
/// # Errors
/// The file can't be written.
pub(super) fn write(settings: &Settings, finding: &Finding, path: &Path) -> Result<bool, Complaint> {
    let text = match regression_test(settings, finding, path) {
        Ok(text) => text,
        Err(error) => {
            say(&format!("{}: {error}", path.display()));
            return Ok(false);
        }
    };
    fs::write(path, text).map_err(|error| Complaint::new(format!("{} can't be written: {error}", path.display())))?;
    Ok(true)
}
