//! The directory that the conversation is in. The server knows nothing of it: it goes along with every command.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use unglue::{Exec, Outcome};

use super::Repl;
use super::reply::unless_lost;
use crate::complaint::{Complaint, printable, say};
use crate::exec::verdict;

/// The longest path that `pwd` may print: PATH_MAX, and then some.
const LONGEST: usize = 64 * 1024;

/// Where the conversation is, and was.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Where it began: the home directory, or the server's root.
    top: Option<PathBuf>,
    /// The user's home, if it was asked for.
    home: Option<PathBuf>,
    now: Option<PathBuf>,
    before: Option<PathBuf>,
}

/// Where to go.
pub(super) enum To {
    /// As typed behind `cd`, for the shell to expand.
    Typed(OsString),
    /// Where it was before.
    Before,
}

impl Directory {
    /// Lets a command run here.
    pub(super) fn enter(&self, exec: Exec) -> Exec {
        match &self.now {
            Some(now) => exec.cwd(now),
            None => exec,
        }
    }

    /// The path of a file of the server as it is meant here. Below the top it is relative, which a server that is
    /// confined to its root insists on.
    pub(super) fn path(&self, typed: &OsStr) -> PathBuf {
        let here = match (&self.now, &self.top) {
            (Some(now), Some(top)) => now.strip_prefix(top).unwrap_or(now),
            (Some(now), None) => now,
            (None, _) => Path::new(""),
        };
        here.join(typed)
    }
}

impl Directory {
    /// The directory as a prompt shows it, with `~` for the home; empty where it isn't known.
    pub(super) fn shown(&self) -> String {
        let Some(now) = self.now.as_ref().or(self.top.as_ref()) else { return String::new() };
        let shown = match self.home.as_ref().map(|home| now.strip_prefix(home)) {
            Some(Ok(below)) if below.as_os_str().is_empty() => "~".into(),
            Some(Ok(below)) => format!("~/{}", below.display()),
            _ => now.display().to_string(),
        };
        printable(&shown)
    }
}

impl Repl {
    /// Asks the server where the conversation begins, for the prompt. A server that runs no commands has no answer.
    pub(super) async fn find_top(&mut self) -> Result<(), Complaint> {
        let asked = Exec::shell("printf '%s\\0%s' \"$(pwd -P)\" \"$(cd && pwd -P)\"");
        let done = match self.client.exec(&asked).await {
            Ok(running) => running.collect(2 * LONGEST).await,
            Err(fault) => return unless_lost(fault),
        };
        if let Outcome::LinkLost(link_lost) = done.report.outcome {
            return Err(link_lost.into());
        }
        let mut paths = done.stdout.split(|&byte| byte == 0).filter(|path| !path.is_empty());
        let mut path = || paths.next().map(|path| PathBuf::from(OsString::from_vec(path.to_vec())));
        (self.directory.top, self.directory.home) = (path(), path());
        Ok(())
    }

    /// Goes to another directory, if it is one; says whether it is.
    pub(super) async fn change_directory(&mut self, to: To) -> Result<bool, Complaint> {
        if self.directory.top.is_none() {
            self.directory.top = self.asked(Exec::shell("pwd -P")).await?;
        }
        let exec = match (to, &self.directory.before) {
            (To::Typed(to), _) => Exec::shell(OsString::from_vec([b"cd ", to.as_bytes(), b" && pwd -P"].concat())),
            (To::Before, Some(before)) => {
                let words = ["sh", "-c", "cd -- \"$1\" && pwd -P", "sh"].map(OsString::from);
                Exec::new(words.into_iter().chain([before.clone().into_os_string()]))
            }
            (To::Before, None) => {
                say("there is no directory before this one");
                return Ok(false);
            }
        };
        self.go(exec).await
    }

    async fn go(&mut self, exec: Exec) -> Result<bool, Complaint> {
        let Some(directory) = self.asked(self.directory.enter(exec)).await? else { return Ok(false) };
        let before = self.directory.now.replace(directory);
        self.directory.before = before.or_else(|| self.directory.top.clone());
        Ok(true)
    }

    /// Runs a command that prints a directory. `None` if it failed, which has been told then.
    async fn asked(&mut self, exec: Exec) -> Result<Option<PathBuf>, Complaint> {
        let running = match self.client.exec(&exec).await {
            Ok(running) => running,
            Err(fault) => return unless_lost(fault).map(|()| None),
        };
        let done = running.collect(LONGEST).await;
        if let Outcome::LinkLost(link_lost) = done.report.outcome {
            return Err(link_lost.into());
        }
        match (verdict::verdict(&done.report.outcome), done.stdout.strip_suffix(b"\n")) {
            (Ok(0), Some(path)) => return Ok(Some(PathBuf::from(OsString::from_vec(path.to_vec())))),
            (Err(complaint), _) => say(&complaint.to_string()),
            _ => say(String::from_utf8_lossy(&done.stderr).trim()),
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_the_top_are_told_relative_to_it() {
        let mut directory = Directory { top: Some("/srv/drop".into()), ..Directory::default() };
        assert_eq!(directory.path("f".as_ref()), Path::new("f"));
        directory.now = Some("/srv/drop/a/b".into());
        assert_eq!(directory.path("f".as_ref()), Path::new("a/b/f"));
        assert_eq!(directory.path("/f".as_ref()), Path::new("/f"));
        directory.now = Some("/etc".into());
        assert_eq!(directory.path("f".as_ref()), Path::new("/etc/f"));
    }

    #[test]
    fn a_prompt_shows_where_it_is() {
        let mut directory = Directory::default();
        assert_eq!(directory.shown(), "");
        directory.top = Some("/home/ada".into());
        assert_eq!(directory.shown(), "/home/ada");
        directory.home = directory.top.clone();
        assert_eq!(directory.shown(), "~");
        for (now, shown) in
            [("/home/ada/src/x", "~/src/x"), ("/home/adam", "/home/adam"), ("/a\x1b[2J", "/a\\u{1b}[2J")]
        {
            directory.now = Some(now.into());
            assert_eq!(directory.shown(), shown);
        }
    }
}
