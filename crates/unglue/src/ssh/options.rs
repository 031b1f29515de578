//! Which ssh is run, with which options, and which programs may be uploaded.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Called with each line that ssh and the other side print on standard error while the connection is made.
pub type Report = Arc<dyn Fn(&str) + Send + Sync>;

/// How ssh is run. The default runs `ssh` with the user's configuration.
///
/// ```
/// use unglue::ssh::SshOptions;
///
/// let options = SshOptions::default().command(["ssh", "-p", "2222"]).option("ProxyJump=gate.example");
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct SshOptions {
    /// The program and its first words.
    pub command: Vec<OsString>,
    /// Values for `-o`; they come before unglue's own, so that they count.
    pub options: Vec<OsString>,
    /// A configuration file for `-F`.
    pub config: Option<PathBuf>,
    /// Directories with programs for other machines, searched before the directory of this program and `/usr/lib/unglue`.
    pub programs: Vec<PathBuf>,
    /// How long it may take until the program on the other side is ready; an upload's own time doesn't count.
    pub limit: Option<Duration>,
    /// Whether a person may be asked by ssh, which takes its time.
    pub interactive: bool,
    /// Where the digests of programs are remembered, so that a file is read once.
    pub cache: Option<PathBuf>,
    /// Gets what ssh prints while the connection is made.
    pub report: Option<Report>,
}

impl Default for SshOptions {
    fn default() -> SshOptions {
        SshOptions {
            command: vec!["ssh".into()],
            options: Vec::new(),
            config: None,
            programs: Vec::new(),
            limit: None,
            interactive: false,
            cache: None,
            report: None,
        }
    }
}

impl SshOptions {
    /// The program to run instead of `ssh`, and its first words ([`split_command`](super::split_command)).
    pub fn command<S: Into<OsString>>(self, words: impl IntoIterator<Item = S>) -> SshOptions {
        SshOptions { command: words.into_iter().map(Into::into).collect(), ..self }
    }

    /// One more value for `-o` (ssh_config(5)).
    pub fn option(mut self, option: impl Into<OsString>) -> SshOptions {
        self.options.push(option.into());
        self
    }

    /// A configuration file for `-F`.
    pub fn config(self, file: Option<PathBuf>) -> SshOptions {
        SshOptions { config: file, ..self }
    }

    /// Directories with programs for other machines.
    pub fn programs(self, directories: Vec<PathBuf>) -> SshOptions {
        SshOptions { programs: directories, ..self }
    }

    /// How long it may take until the program on the other side is ready.
    pub fn limit(self, limit: Option<Duration>) -> SshOptions {
        SshOptions { limit, ..self }
    }

    /// Whether a person may be asked by ssh.
    pub fn interactive(self, interactive: bool) -> SshOptions {
        SshOptions { interactive, ..self }
    }

    /// Where digests of programs are remembered.
    pub fn cache(self, directory: Option<PathBuf>) -> SshOptions {
        SshOptions { cache: directory, ..self }
    }

    /// Gets what ssh prints while the connection is made.
    pub fn report(self, report: Option<Report>) -> SshOptions {
        SshOptions { report, ..self }
    }
}
