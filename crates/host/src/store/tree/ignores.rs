//! `.gitignore` files, as both ends see them.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::dirs::{Dirs, Node};

/// The longest `.gitignore` that is read, in bytes.
pub(super) const LONGEST: usize = 256 * 1024;

/// The rules of the directories so far.
#[derive(Debug, Default)]
pub(super) struct Ignores(HashMap<Node, Gitignore>);

impl Ignores {
    /// Adds the rules of a directory's `.gitignore`. Lines that git doesn't understand say nothing.
    pub(super) fn add(&mut self, dir: Node, text: &[u8]) {
        let mut builder = GitignoreBuilder::new("");
        for line in String::from_utf8_lossy(text).lines() {
            if let Err(error) = builder.add_line(None, line) {
                tracing::debug!(%error, "a line of a .gitignore is not understood");
            }
        }
        if let Ok(rules) = builder.build() {
            self.0.insert(dir, rules);
        }
    }

    /// Whether an entry of a directory is ignored. The deepest file that has something to say about it counts.
    pub(super) fn ignores(&self, dirs: &Dirs, dir: Node, name: &OsStr, is_directory: bool) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let (mut path, mut at) = (name.to_owned(), dir);
        loop {
            if let Some(rules) = self.0.get(&at) {
                match rules.matched(&path, is_directory) {
                    Match::Ignore(_) => return true,
                    Match::Whitelist(_) => return false,
                    Match::None => {}
                }
            }
            let Some(parent) = dirs.parent(at) else { return false };
            let mut longer = OsString::from(dirs.name(at));
            longer.push("/");
            longer.push(&path);
            (path, at) = (longer, parent);
        }
    }
}
