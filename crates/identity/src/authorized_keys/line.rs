//! One line of `authorized_keys`: `[options] kind key [comment]`, as sshd(8) describes it.

use crate::key::PublicKeyText;

/// A well-formed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The names of its options, without their values, in order.
    pub(super) options: Vec<String>,
    /// Its key.
    pub(super) key: PublicKeyText,
    /// What follows the key.
    pub(super) comment: String,
}

/// The option that makes a key sign certificates instead of logging in.
pub(super) const CERT_AUTHORITY: &str = "cert-authority";

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
            return Ok(Some(Self { options: Vec::new(), key, comment }));
        }
        let (options, rest) = split_options(line).ok_or("a quotation mark of its options is not closed")?;
        let (key, comment) = parse_key(rest.trim_ascii_start()).ok_or("it has no well-formed key")?;
        Ok(Some(Self { options, key, comment }))
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

/// The options' names, in lower case, and what follows them: they end at the first white space outside quotation
/// marks, and commas outside of those part them. `\"` is no quotation mark. `None` if one is not closed.
fn split_options(line: &[u8]) -> Option<(Vec<String>, &[u8])> {
    let mut names = Vec::new();
    let (mut start, mut at, mut quoted) = (0, 0, false);
    while at < line.len() && (quoted || !is_blank(&line[at])) {
        match line[at] {
            b'\\' if line.get(at + 1) == Some(&b'"') => at += 1,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                names.push(option_name(&line[start..at]));
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    names.push(option_name(&line[start..at]));
    (!quoted).then(|| (names, &line[at..]))
}

/// The name in front of `=`.
fn option_name(option: &[u8]) -> String {
    let name = option.split(|&byte| byte == b'=').next().unwrap_or_default();
    String::from_utf8_lossy(name).to_ascii_lowercase()
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
        assert_eq!((line.options.len(), line.comment.as_str()), (0, ""));
        assert_eq!(parse(&format!(" \t{KEY}  ada  at home \r")).comment, "ada  at home");
    }

    #[test]
    fn options_with_quotes_commas_blanks_and_escapes() {
        for (options, names) in [
            ("restrict", vec!["restrict"]),
            ("restrict \t", vec!["restrict"]),
            (r#"command="ls -l""#, vec!["command"]),
            (r#"command="a, b \"c d\" e",no-pty,From="*.x,!y""#, vec!["command", "no-pty", "from"]),
            ("cert-authority,principals=\"a\"", vec!["cert-authority", "principals"]),
            ("CERT-authority", vec!["cert-authority"]),
            // Not options that sshd knows; they are options all the same.
            ("ssh-ed25519", vec!["ssh-ed25519"]),
            (",", vec!["", ""]),
        ] {
            let line = parse(&format!("{options} {KEY} comment"));
            assert_eq!(line.options, names, "{options}");
            assert_eq!(line.comment, "comment");
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

        /// Whatever stands before the key, only nothing at all leaves a line without options.
        #[test]
        fn no_option_is_ever_overlooked(options in r#"[a-z"\\,=-]{1,30}"#) {
            if let Ok(Some(line)) = Line::parse(format!("{options} {KEY}").as_bytes()) {
                prop_assert!(!line.options.is_empty());
            }
        }
    }
}
