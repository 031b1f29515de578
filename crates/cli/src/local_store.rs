//! The client's own side of a transfer: files are written here as carefully as on a server.

use std::path::PathBuf;

use unglue::{Partials, Store};

use crate::complaint::Complaint;

/// A store that starts at the working directory and reaches whatever this user can.
///
/// What a client that was killed has left is swept on the way, as a server does at its start.
///
/// # Errors
/// The working directory is gone.
pub(crate) fn open() -> Result<Store, Complaint> {
    let here = std::env::current_dir();
    let here = here.map_err(|error| Complaint::new(format!("there is no working directory: {error}")))?;
    let store = Store::home(&here).map_err(|error| Complaint::from(error.fault()))?;
    // Without a home there is no place for records; the copy itself doesn't need them.
    Ok(match state_directory().and_then(|state| Partials::open(&state).ok()) {
        Some(partials) => {
            if let Err(error) = partials.sweep() {
                tracing::debug!("temporary files of earlier clients were not removed: {error}");
            }
            store.with_partials(partials)
        }
        None => store,
    })
}

/// Where a client keeps what outlives it: `~/.local/state/unglue`.
pub(crate) fn state_directory() -> Option<PathBuf> {
    let home = std::env::home_dir().filter(|home| home.is_absolute())?;
    Some(home.join(".local/state/unglue"))
}
