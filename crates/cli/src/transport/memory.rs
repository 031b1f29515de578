//! What is remembered about a TCP port at which nothing answered, so that the next command doesn't wait for it again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use unglue::{LinkError, Target};

/// How long a port counts as silent, which takes seconds to find out, and how long as closed, which takes a round trip.
const SILENT: Duration = Duration::from_secs(600);
const CLOSED: Duration = Duration::from_secs(60);

/// The note about one server's port; there may be none, and nowhere to write one.
pub(crate) struct Memory(Option<PathBuf>);

impl Memory {
    /// The note is a file in the directory `unreachable` of the cache.
    pub(super) fn of(cache: Option<&Path>, target: &Target) -> Memory {
        let name = target.to_string();
        Memory(
            cache
                .filter(|_| name.len() <= 200 && !name.contains('/'))
                .map(|cache| cache.join("unreachable").join(name)),
        )
    }

    /// Why there was no connection a short time ago.
    pub(crate) fn recent(&self) -> Option<String> {
        let path = self.0.as_ref()?;
        let age = SystemTime::now().duration_since(fs::metadata(path).ok()?.modified().ok()?).ok()?;
        let text = fs::read_to_string(path).ok()?;
        let (seconds, why) = text.trim_end().split_once(' ')?;
        (age < Duration::from_secs(seconds.parse().ok()?)).then(|| format!("{why} ({} s ago)", age.as_secs()))
    }

    /// Notes why there is no connection. Where that can't be written, the next command finds out by itself.
    pub(crate) fn note(&self, why: &LinkError) {
        let Some(path) = &self.0 else { return };
        let seconds = match why {
            LinkError::Unanswered { .. } => SILENT,
            _ => CLOSED,
        };
        if let Some(directory) = path.parent() {
            let _ = fs::create_dir_all(directory);
        }
        let _ = fs::write(path, format!("{} {why}\n", seconds.as_secs()));
    }

    /// There is a connection after all.
    pub(crate) fn forget(&self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_does_not_answer_is_remembered_for_a_while() {
        let directory = tempfile::tempdir().expect("a directory");
        let target = Target { host: "::1".into(), port: 7227 };
        let memory = Memory::of(Some(directory.path()), &target);
        assert_eq!(memory.recent(), None);
        memory.note(&LinkError::Unanswered { target: target.to_string(), limit: Duration::from_secs(2) });
        let why = memory.recent().expect("it is remembered");
        assert!(why.contains("longer than 2 s"), "{why}");
        let path = memory.0.as_ref().expect("a path");
        let before = SystemTime::now() - SILENT;
        fs::File::options().write(true).open(path).expect("it opens").set_modified(before).expect("a time");
        assert_eq!(memory.recent(), None);
        memory.note(&LinkError::Closed);
        assert!(memory.recent().is_some());
        memory.forget();
        assert_eq!(memory.recent(), None);
        assert_eq!(Memory::of(None, &target).recent(), None);
    }
}
