//! What a line at the prompt asks for.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

/// A line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing to do.
    Empty,
    /// Leave.
    Quit,
    /// List the lines so far.
    History,
    /// Change the directory; the rest is the shell's to expand.
    Cd(OsString),
    /// Go back to the directory before.
    CdBack,
    /// Copy a file to the server.
    Put(OsString, Option<OsString>),
    /// Fetch a file.
    Get(OsString, Option<OsString>),
    /// One of ours, wrongly used; how to use it.
    Wrong(&'static str),
    /// Run the line with the shell.
    Shell(OsString),
}

/// Reads a line. Only a plain line is one of ours: with a pipe, a list or a redirection in it the shell gets it whole.
pub(super) fn parse(line: &[u8]) -> Line {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Line::Empty;
    }
    let words = match words(line) {
        Some(words) => words,
        None => return Line::Shell(OsString::from_vec(line.to_vec())),
    };
    let mut arguments = words.iter().skip(1).cloned().map(OsString::from_vec);
    let (first, second) = (arguments.next(), arguments.next());
    match (words[0].as_slice(), words.len()) {
        (b"quit" | b"exit", 1) => Line::Quit,
        (b"history", 1) => Line::History,
        (b"cd", 2) if words[1] == b"-" => Line::CdBack,
        (b"cd", 1 | 2) => Line::Cd(OsString::from_vec(line[2..].trim_ascii().to_vec())),
        (b"put", _) => {
            first.filter(|_| words.len() < 4).map_or(Line::Wrong("put FILE [DST]"), |f| Line::Put(f, second))
        }
        (b"get", _) => {
            first.filter(|_| words.len() < 4).map_or(Line::Wrong("get FILE [DST]"), |f| Line::Get(f, second))
        }
        _ => Line::Shell(OsString::from_vec(line.to_vec())),
    }
}

/// The line's words without their quotes, as the shell would split it; `None` if the line holds something that only a
/// shell understands: an operator, or a quote that is left open.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' => words.extend(word.take()),
            b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' | b'`' | b'\n' => return None,
            b'\\' => word.get_or_insert_default().push(bytes.next()?),
            b'\'' | b'"' => quoted(byte, &mut bytes, word.get_or_insert_default())?,
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    Some(words).filter(|words| !words.is_empty())
}

/// Takes the rest of a quoted part.
fn quoted(quote: u8, bytes: &mut impl Iterator<Item = u8>, word: &mut Vec<u8>) -> Option<()> {
    loop {
        match bytes.next()? {
            byte if byte == quote => return Some(()),
            b'\\' if quote == b'"' => match bytes.next()? {
                escaped @ (b'"' | b'\\' | b'$' | b'`') => word.push(escaped),
                other => word.extend([b'\\', other]),
            },
            byte => word.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Line {
        Line::Shell(line.into())
    }

    #[test]
    fn our_own_commands_are_recognised() {
        assert_eq!(parse(b"  "), Line::Empty);
        assert_eq!(parse(b" quit "), Line::Quit);
        assert_eq!(parse(b"exit"), Line::Quit);
        assert_eq!(parse(b"history"), Line::History);
        assert_eq!(parse(b"cd"), Line::Cd("".into()));
        assert_eq!(parse(b"cd ~/\"a b\""), Line::Cd("~/\"a b\"".into()));
        assert_eq!(parse(b"cd -"), Line::CdBack);
        assert_eq!(parse(b"put 'a b' c\\ d"), Line::Put("a b".into(), Some("c d".into())));
        assert_eq!(parse(b"get \"a\\\"b\""), Line::Get("a\"b".into(), None));
        assert_eq!(parse(b"put"), Line::Wrong("put FILE [DST]"));
        assert_eq!(parse(b"get a b c"), Line::Wrong("get FILE [DST]"));
    }

    #[test]
    fn everything_else_is_the_shells() {
        for line in
            ["ls -l", "cd a && ls", "exit 3", "history | tail", "put a > b", "echo 'open", "command put a", "cd a b"]
        {
            assert_eq!(parse(line.as_bytes()), shell(line));
        }
        let odd = OsString::from_vec(b"ls \xff".to_vec());
        assert_eq!(parse(b"ls \xff"), Line::Shell(odd));
    }
}
