//! What the user's ssh configuration says about a server.

use std::path::{Path, PathBuf};

use unglue::Address;
use unglue::identity::ssh_config::{Asked, Files, Settings};
use unglue::link::LOGIN_STEPS;

use crate::complaint::Complaint;

/// The settings for a server; its address gets the host's name and the user of the configuration. `flag` is `--ssh-config`.
///
/// # Errors
/// The configuration can't be read, or a line of it is wrong.
pub(crate) fn apply(address: &mut Address, flag: Option<&Path>) -> Result<Settings, Complaint> {
    let asked = Asked::from_env(&address.target.host, address.user.as_deref());
    let named = std::env::var_os("UNGLUE_SSH_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from);
    let named = flag.map(Path::to_owned).or(named);
    let files = match &named {
        Some(path) if path.as_os_str() == "none" => return Ok(Settings::default()),
        Some(path) if !path.exists() => {
            return Err(Complaint::new(format!(
                "there is no ssh configuration {}; check --ssh-config",
                path.display()
            )));
        }
        Some(path) => Files::only(path),
        None => Files::of_home(asked.home.as_deref()),
    };
    let settings = files.settings(&asked).map_err(|error| Complaint::new(error.to_string()))?;
    if let Some(name) = &settings.host_name {
        tracing::debug!(target: LOGIN_STEPS, "the ssh configuration gives {} the name {name}", asked.host);
        address.target.host.clone_from(name);
    }
    if address.user.is_none() {
        address.user.clone_from(&settings.user);
    }
    Ok(settings)
}
