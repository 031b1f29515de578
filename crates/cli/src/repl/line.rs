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
    /// List what may be typed.
    Help,
    /// List the lines so far.
    History,
    /// Change the directory; the rest is the shell's to expand.
    Cd(OsString),
    /// Go back to the directory before.
    CdBack,
    /// Change the directory first, and then do the rest of the line, or not.
    Then(Box<Line>, Joined, OsString),
    /// Copy files to the server.
    Put(Word, Option<Word>),
    /// Fetch a file.
    Get(Word, Option<Word>),
    /// One of ours, wrongly used; how to use it.
    Wrong(&'static str),
    /// Run the line with the shell.
    Shell(OsString),
}

/// What stands between a change of directory and the rest of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joined {
    /// `;`: the rest is done in any case.
    Always,
    /// `&&`: if the directory was changed.
    IfDone,
    /// `||`: if it was not.
    IfNot,
}

/// A word of a line, without its quotes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Word {
    bytes: Vec<u8>,
    /// For each byte, whether it was quoted: then it means nothing but itself.
    quoted: Vec<bool>,
}

impl Word {
    fn push(&mut self, byte: u8, quoted: bool) {
        self.bytes.push(byte);
        self.quoted.push(quoted);
    }

    /// The text, without a meaning.
    pub(super) fn text(&self) -> OsString {
        OsString::from_vec(self.bytes.clone())
    }

    /// The bytes, each with whether it was quoted.
    pub(super) fn marked(&self) -> impl Iterator<Item = (u8, bool)> {
        self.bytes.iter().copied().zip(self.quoted.iter().copied())
    }
}

/// Reads a line. Only a plain line is one of ours, or one that changes the directory before it goes on: with a pipe, a list or a
/// redirection in it the shell gets it whole.
pub(super) fn parse(line: &[u8]) -> Line {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Line::Empty;
    }
    if let Some(then) = cd_and_then(line) {
        return then;
    }
    let Some(words) = words(line) else { return Line::Shell(OsString::from_vec(line.to_vec())) };
    let mut arguments = words.iter().skip(1).cloned();
    let (first, second) = (arguments.next(), arguments.next());
    match (words[0].bytes.as_slice(), words.len()) {
        (b"quit" | b"exit", 1) => Line::Quit,
        (b"help" | b"?", 1) => Line::Help,
        (b"history", 1) => Line::History,
        (b"cd", 2) if words[1].bytes == b"-" => Line::CdBack,
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

/// `cd DIR`, joined with more. Each line has a shell of its own, so a `cd` that the shell did would be forgotten.
fn cd_and_then(line: &[u8]) -> Option<Line> {
    let at = operator(line)?;
    let (joined, length) = match &line[at..] {
        [b'&', b'&', ..] => (Joined::IfDone, 2),
        [b'|', b'|', ..] => (Joined::IfNot, 2),
        [b';', next, ..] if *next != b';' => (Joined::Always, 1),
        _ => return None,
    };
    let rest = line[at + length..].trim_ascii();
    match parse(&line[..at]) {
        cd @ (Line::Cd(_) | Line::CdBack) if !rest.is_empty() => {
            Some(Line::Then(Box::new(cd), joined, OsString::from_vec(rest.to_vec())))
        }
        _ => None,
    }
}

/// The place of the first operator outside of quotes.
fn operator(line: &[u8]) -> Option<usize> {
    let mut bytes = line.iter().copied().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            _ if is_operator(byte) => return Some(at),
            b'\\' => _ = bytes.next(),
            b'\'' | b'"' => quoted(byte, &mut bytes.by_ref().map(|(_, byte)| byte), &mut Word::default())?,
            _ => {}
        }
    }
    None
}

fn is_operator(byte: u8) -> bool {
    matches!(byte, b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' | b'`' | b'\n')
}

/// The line's words without their quotes, as the shell would split it; `None` if the line holds something that only a
/// shell understands: an operator, or a quote that is left open.
fn words(line: &[u8]) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' => words.extend(word.take()),
            _ if is_operator(byte) => return None,
            b'\\' => word.get_or_insert_default().push(bytes.next()?, true),
            b'\'' | b'"' => quoted(byte, &mut bytes, word.get_or_insert_default())?,
            _ => word.get_or_insert_default().push(byte, false),
        }
    }
    words.extend(word);
    Some(words).filter(|words| !words.is_empty())
}

/// Takes the rest of a quoted part.
fn quoted(quote: u8, bytes: &mut impl Iterator<Item = u8>, word: &mut Word) -> Option<()> {
    loop {
        match bytes.next()? {
            byte if byte == quote => return Some(()),
            b'\\' if quote == b'"' => match bytes.next()? {
                escaped @ (b'"' | b'\\' | b'$' | b'`') => word.push(escaped, true),
                other => [b'\\', other].into_iter().for_each(|byte| word.push(byte, true)),
            },
            byte => word.push(byte, true),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn shell(line: &str) -> Line {
        Line::Shell(line.into())
    }

    /// The first word of a line.
    pub(in super::super) fn word(text: &str) -> Word {
        words(text.as_bytes()).expect("words").remove(0)
    }

    #[test]
    fn our_own_commands_are_recognised() {
        assert_eq!(parse(b"  "), Line::Empty);
        assert_eq!(parse(b" quit "), Line::Quit);
        assert_eq!(parse(b"exit"), Line::Quit);
        assert_eq!(parse(b"help"), Line::Help);
        assert_eq!(parse(b"history"), Line::History);
        assert_eq!(parse(b"cd"), Line::Cd("".into()));
        assert_eq!(parse(b"cd ~/\"a b\""), Line::Cd("~/\"a b\"".into()));
        assert_eq!(parse(b"cd -"), Line::CdBack);
        assert_eq!(parse(b"put 'a b' c\\ d"), Line::Put(word("'a b'"), Some(word("c\\ d"))));
        assert_eq!(parse(b"get \"a\\\"b\""), Line::Get(word("\"a\\\"b\""), None));
        assert_eq!(word("\"a\\\"b\"c").text(), "a\"bc");
        assert_eq!(parse(b"put"), Line::Wrong("put FILE [DST]"));
        assert_eq!(parse(b"get a b c"), Line::Wrong("get FILE [DST]"));
    }

    #[test]
    fn a_change_of_directory_lasts_beyond_its_line() {
        let then = |cd: Line, joined, rest: &str| Line::Then(Box::new(cd), joined, rest.into());
        assert_eq!(parse(b"cd a && ls"), then(Line::Cd("a".into()), Joined::IfDone, "ls"));
        assert_eq!(parse(b"cd 'a;b' ; ls | wc"), then(Line::Cd("'a;b'".into()), Joined::Always, "ls | wc"));
        assert_eq!(parse(b"cd a || echo no"), then(Line::Cd("a".into()), Joined::IfNot, "echo no"));
        assert_eq!(parse(b"cd - && cd b && pwd"), then(Line::CdBack, Joined::IfDone, "cd b && pwd"));
    }

    #[test]
    fn everything_else_is_the_shells() {
        for line in [
            "ls -l",
            "exit 3",
            "help me",
            "history | tail",
            "put a > b",
            "echo 'open",
            "command put a",
            "cd a b",
            "cd a | cat",
            "cd a &",
            "cd a &&",
            "(cd a && ls)",
            "ls && cd a",
            "cd 'a && b",
        ] {
            assert_eq!(parse(line.as_bytes()), shell(line));
        }
        let odd = OsString::from_vec(b"ls \xff".to_vec());
        assert_eq!(parse(b"ls \xff"), Line::Shell(odd));
    }
}
