//! Which way to a server: TCP, the user's ssh, or TCP first and ssh where nothing answers.

mod memory;
mod settings;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use unglue::Target;
use unglue::ssh::{Ssh, SshOptions, split_command};

use crate::args::connection::{ConnectionArgs, TransportArg};
use crate::args::target::HostArg;
use crate::complaint::{Complaint, remark};
use settings::Settings;

pub(crate) use memory::Memory;

/// How long a TCP connection may take to open before ssh is tried.
pub(crate) const TCP_FIRST: Duration = Duration::from_secs(2);

/// The ways to one server.
pub(crate) struct Ways {
    pub(crate) transport: TransportArg,
    pub(crate) ssh: Ssh,
    cache: Option<PathBuf>,
}

impl Ways {
    /// From the flags, the environment and the configuration. `limit` is how long connecting may take.
    ///
    /// # Errors
    /// The configuration, or `UNGLUE_SSH`, is wrong.
    pub(crate) fn new(host: &HostArg, flags: &ConnectionArgs, limit: Option<Duration>) -> Result<Ways, Complaint> {
        let transport = match flags.transport {
            Some(transport) => transport,
            None => Settings::load()?.transport(&host.host),
        };
        let cache = cache();
        let ssh = Ssh::new(&host.host, host.user.clone(), ssh_options(flags, limit, cache.clone())?);
        Ok(Ways { transport, ssh, cache })
    }

    /// What is remembered about a server's TCP port.
    pub(crate) fn memory(&self, target: &Target) -> Memory {
        Memory::of(self.cache.as_deref(), target)
    }
}

fn ssh_options(
    flags: &ConnectionArgs,
    limit: Option<Duration>,
    cache: Option<PathBuf>,
) -> Result<SshOptions, Complaint> {
    let mut options = SshOptions::default();
    if let Some(text) = std::env::var_os("UNGLUE_SSH").filter(|text| !text.is_empty()) {
        let words = split_command(&text).map_err(|why| Complaint::new(format!("UNGLUE_SSH: {why}")))?;
        options = options.command(words);
    }
    for option in &flags.ssh_option {
        options = options.option(option);
    }
    let config = flags.ssh_config.clone();
    let config =
        config.or_else(|| std::env::var_os("UNGLUE_SSH_CONFIG").filter(|name| !name.is_empty()).map(Into::into));
    let programs = std::env::var_os("UNGLUE_PROGRAMS").map(|list| std::env::split_paths(&list).collect());
    // ssh asks at the terminal itself, whatever its input and output are.
    let interactive = std::fs::File::options().read(true).write(true).open("/dev/tty").is_ok();
    let shown = std::io::stderr().is_terminal();
    let options = options.config(config).programs(programs.unwrap_or_default()).limit(limit);
    Ok(options.interactive(interactive).cache(cache).report(shown.then(|| Arc::new(remark) as _)))
}

/// `$XDG_CACHE_HOME/unglue` or `~/.cache/unglue`.
fn cache() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(".cache"));
    named.or_else(home).map(|cache| cache.join("unglue"))
}
