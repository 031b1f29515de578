//! What the environment says about where a user's files are.

use std::path::PathBuf;

/// The path that a variable holds; an empty one counts as not set.
pub(super) fn path_from_env(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The user's home: `HOME`, or else what the user database says. A relative one is none: whose files would be read
/// then would depend on the directory that we happen to be started in.
pub(super) fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute())
}
