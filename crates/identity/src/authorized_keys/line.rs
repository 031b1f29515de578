//! One line of `authorized_keys`: `[options] kind key [comment]`, as sshd(8) describes it.

use super::options::{BadOption, Options};
use crate::key::PublicKeyText;

/// A well-formed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its options; or the first that admits nobody.
    pub(super) options: Result<Options, BadOption>,
    /// Its key.
    pub(super) key: PublicKeyText,
    /// What follows the key.
    pub(super) comment: String,
}

impl Line {
    /// Reads one line without its line end; `Ok(None)` if it is blank or a comment.
    ///
    /// # Errors
    ///
    /// What is malformed about it, in a few words.
    pub(super) fn parse(line: &[u8]) -> Result<Option<Self>, &'static str> {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(None);
        }
        // As sshd: a line that doesn't begin with a key begins with options.
        if let Some((key, comment)) = parse_key(line) {
            return Ok(Some(Self { options: Ok(Options::default()), key, comment }));
        }
        let (options, rest) = split_options(line).ok_or("a quotation mark of its options is not closed")?;
        let (key, comment) = parse_key(rest.trim_ascii_start()).ok_or("it has no well-formed key")?;
        Ok(Some(Self { options: Options::parse(options), key, comment }))
    }
}

fn parse_key(text: &[u8]) -> Option<(PublicKeyText, String)> {
    let (kind, rest) = split_word(text);
    let (base64, comment) = split_word(rest);
    let key = PublicKeyText::parse(kind, base64).ok()?;
    Some((key, String::from_utf8_lossy(comment).into_owned()))
}

/// The text up to white space, and what follows that white space.
fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(is_blank).unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The options and what follows them: they end at the first white space outside quotation marks. `\"` is no quotation
/// mark. `None` if one is not closed.
fn split_options(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut at, mut quoted) = (0, false);
    while at < line.len() && (quoted || !is_blank(&line[at])) {
        match line[at] {
            b'\\' if line.get(at + 1) == Some(&b'"') => at += 1,
            b'"' => quoted = !quoted,
            _ => {}
        }
        at += 1;
    }
    (!quoted).then(|| line.split_at(at.min(line.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    fn parse(line: &str) -> Line {
        Line::parse(line.as_bytes()).expect("well-formed").expect("a line")
    }

    #[test]
    fn plain_lines_with_and_without_a_comment() {
        let line = parse(KEY);
        assert_eq!((line.options, line.comment.as_str()), (Ok(Options::default()), ""));
        assert_eq!(parse(&format!(" \t{KEY}  ada  at home \r")).comment, "ada  at home");
    }

    #[test]
    fn options_are_read_with_quotes_commas_blanks_and_escapes() {
        let line = parse(&format!(r#"from="*.x,!y",command="a, b \"c d\" \e",Cert-Authority {KEY} comment"#));
        let options = line.options.expect("known");
        assert_eq!(options.command.as_deref(), Some(&br#"a, b "c d" \e"#[..]));
        assert_eq!((options.from.as_deref(), options.authority), (Some(&b"*.x,!y"[..]), true));
        assert_eq!(line.comment, "comment");
    }

    #[test]
    fn an_option_that_admits_nobody_is_named() {
        for (options, name) in [
            ("ssh-ed25519", "ssh-ed25519"),
            ("restrictx", "restrictx"),
            ("no-restrict", "no-restrict"),
            ("command=ls", "command"),
            ("command=\"a\"b", "command"),
            ("command=\"a\",command=\"a\"", "command"),
            ("command", "command"),
            ("restrict=\"x\"", "restrict"),
            ("expiry-time=\"soon\"", "expiry-time"),
            ("environment=\"A-B=c\"", "environment"),
            ("permitopen=\"host\"", "permitopen"),
            ("permitopen=\"host:0\"", "permitopen"),
            ("permitlisten=\"x\"", "permitlisten"),
            ("tunnel=\"x\"", "tunnel"),
            ("an-option-of-the-future", "an-option-of-the-future"),
        ] {
            let bad = parse(&format!("{options} {KEY}")).options.expect_err(options);
            assert_eq!(bad.name, name, "{options}");
        }
        for options in [
            "permitlisten=\"80\"",
            "permitopen=\"[::1]:*\"",
            "tunnel=\"any\"",
            "environment=\"A=b=c\"",
            "no-X11-forwarding",
            // As in sshd: the blank behind the comma ends the options.
            "restrict,",
            ",",
            "restrict,,pty",
        ] {
            assert!(parse(&format!("{options} {KEY}")).options.is_ok(), "{options}");
        }
    }

    #[test]
    fn malformed_lines_say_why() {
        for (line, why) in [
            (format!("command=\"ls {KEY}"), "not closed"),
            ("ssh-ed25519".to_owned(), "no well-formed key"),
            ("ssh-ed25519 AAAA".to_owned(), "no well-formed key"),
            (format!("restrict restrict {KEY}"), "no well-formed key"),
        ] {
            assert!(Line::parse(line.as_bytes()).expect_err("malformed").contains(why), "{line}");
        }
        for blank in ["", "  ", "# a comment", "\t#", "\r"] {
            assert_eq!(Line::parse(blank.as_bytes()), Ok(None));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_lines_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            text in r#"[a-c"\\, =#]{0,60}"#,
        ) {
            let _ = Line::parse(&bytes);
            let _ = Line::parse(text.as_bytes());
        }

        /// Whatever words stand before the key, they are no options that anybody knows.
        #[test]
        fn no_option_is_ever_overlooked(options in r#"[a-o"\\,=-]{1,30}"#) {
            if let Ok(Some(line)) = Line::parse(format!("{options} {KEY}").as_bytes()) {
                prop_assert!(line.options.is_err() || options.trim_matches(',').is_empty());
            }
        }
    }
}
