//! Names of this machine's files, as they are typed at the prompt: no shell of this machine expands them, so this does.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use glob::{MatchOptions, Pattern, glob_with};

use super::line::Word;

/// As a shell matches: `*` doesn't match a slash, nor a dot at the beginning of a name.
const AS_A_SHELL: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The path that a word names, with `~` for the home directory.
pub(super) fn path(word: &Word) -> PathBuf {
    match behind_tilde(word) {
        Some((home, rest)) => home.join(PathBuf::from(OsString::from_vec(bytes(rest)))),
        None => PathBuf::from(word.text()),
    }
}

/// The files that a word names: the one with just this name, or all that match it as a pattern, in order.
///
/// # Errors
/// No file matches, or the pattern is malformed.
pub(super) fn files(word: &Word) -> Result<Vec<PathBuf>, String> {
    let literal = path(word);
    let marked: Vec<(u8, bool)> = word.marked().collect();
    let is_pattern = marked.iter().any(|(byte, quoted)| !quoted && b"*?[".contains(byte));
    if !is_pattern || literal.symlink_metadata().is_ok() {
        return Ok(vec![literal]);
    }
    let (home, rest) = behind_tilde(word).map_or((None, marked), |(home, rest)| (Some(home), rest));
    let mut pattern = home.map_or(String::new(), |home| Pattern::escape(&home.to_string_lossy()) + "/");
    pattern += &escaped(&rest);
    let shown = word.text();
    let matched = glob_with(&pattern, AS_A_SHELL).map_err(|error| format!("{}: {error}", shown.display()))?;
    // What can't be read isn't matched, as in a shell.
    let mut files: Vec<PathBuf> = matched.filter_map(Result::ok).collect();
    files.sort();
    match files.is_empty() {
        true => Err(format!("{}: no file of this machine matches", shown.display())),
        false => Ok(files),
    }
}

/// The home directory, and what stands behind `~/`, if the word begins so. A quoted `~` is a name.
fn behind_tilde(word: &Word) -> Option<(PathBuf, Vec<(u8, bool)>)> {
    let mut marked = word.marked();
    let tilde = marked.next() == Some((b'~', false));
    let rest: Vec<(u8, bool)> = match marked.next() {
        None => Vec::new(),
        Some((b'/', _)) => marked.collect(),
        Some(_) => return None,
    };
    tilde.then(std::env::home_dir).flatten().map(|home| (home, rest))
}

fn bytes(marked: Vec<(u8, bool)>) -> Vec<u8> {
    marked.into_iter().map(|(byte, _)| byte).collect()
}

/// The pattern, in which quoted characters stand for themselves.
fn escaped(marked: &[(u8, bool)]) -> String {
    let runs = marked.chunk_by(|(_, before), (_, after)| before == after);
    runs.map(|run| {
        let text = String::from_utf8_lossy(&bytes(run.to_vec())).into_owned();
        if run[0].1 { Pattern::escape(&text) } else { text }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::word;
    use super::*;

    #[test]
    fn patterns_are_expanded_and_quoted_ones_are_names() {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["a.txt", "b.txt", ".c.txt", "d*.txt", "dx.txt"] {
            std::fs::write(directory.path().join(name), "").expect("written");
        }
        let at = directory.path().to_str().expect("text");
        let names = |pattern: &str| {
            let files = files(&word(&format!("{at}/{pattern}")));
            files.map(|files| files.iter().map(|f| f.file_name().expect("a name").to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(names("[ab].txt").expect("two"), ["a.txt", "b.txt"]);
        assert_eq!(names("*.txt").expect("all but the hidden one"), ["a.txt", "b.txt", "d*.txt", "dx.txt"]);
        assert_eq!(names("d*.txt").expect("the one with this very name"), ["d*.txt"]);
        assert_eq!(names("'d*'.t?t").expect("the quoted star is itself"), ["d*.txt"]);
        assert!(names("*.rs").expect_err("nothing").contains("no file of this machine matches"));
        assert_eq!(names("'*.rs'").expect("a name that isn't there"), ["*.rs"]);
    }

    #[test]
    fn a_tilde_is_the_home() {
        let home = std::env::home_dir().expect("a home");
        assert_eq!(path(&word("~/x")), home.join("x"));
        assert_eq!(path(&word("~")), home.join(""));
        for name in ["'~/x'", "\\~/x", "~ada/x", "x~"] {
            assert_eq!(path(&word(name)), PathBuf::from(word(name).text()));
        }
    }
}
