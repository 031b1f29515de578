//! `~/.config/unglue/config.toml`: how servers are reached. It holds nothing else.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::args::connection::TransportArg;
use crate::complaint::Complaint;

/// The file's contents.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    transport: Option<TransportArg>,
    /// By the host's name as it is typed.
    #[serde(default)]
    host: HashMap<String, HostSettings>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostSettings {
    transport: TransportArg,
}

impl Settings {
    /// Reads the file; without one, nothing is set.
    ///
    /// # Errors
    /// It can't be read, or something in it is not known.
    pub(super) fn load() -> Result<Settings, Complaint> {
        match path() {
            Some(path) => Settings::read(&path).map_err(Complaint::new),
            None => Ok(Settings::default()),
        }
    }

    fn read(path: &Path) -> Result<Settings, String> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Settings::default());
            }
            Err(error) => return Err(format!("{} can't be read: {error}", path.display())),
        };
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let what = error.message().split('\n').next().unwrap_or_default().to_owned();
            format!("{}, line {line}: {what}; docs/cli.md lists what the file may hold", path.display())
        })
    }

    /// How this host is reached.
    pub(super) fn transport(&self, host: &str) -> TransportArg {
        let own = self.host.get(host).map(|settings| settings.transport);
        own.or(self.transport).unwrap_or(TransportArg::Auto)
    }
}

fn path() -> Option<PathBuf> {
    let home = std::env::home_dir().filter(|home| home.is_absolute())?;
    Some(home.join(".config/unglue/config.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("config.toml");
        std::fs::write(&path, text).expect("written");
        Settings::read(&path)
    }

    #[test]
    fn a_host_has_its_own_transport_and_the_others_the_general_one() {
        let settings =
            read("transport = \"tcp\"\n[host.\"build.example\"]\ntransport = \"ssh\"\n").expect("it is right");
        assert_eq!(settings.transport("build.example"), TransportArg::Ssh);
        assert_eq!(settings.transport("other.example"), TransportArg::Tcp);
        assert_eq!(read("").expect("empty").transport("host"), TransportArg::Auto);
        assert_eq!(
            Settings::read(Path::new("/nonexistent/config.toml")).expect("none").transport("h"),
            TransportArg::Auto
        );
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, words) in [
            ("\ntransprot = \"ssh\"\n", "line 2: unknown field `transprot`"),
            ("transport = \"udp\"\n", "line 1: unknown variant `udp`"),
            ("[host.a]\nport = 22\n", "line 2: unknown field `port`"),
            ("transport = \n", "line 1"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(words) && !error.contains('\n'), "{error}");
        }
    }
}
