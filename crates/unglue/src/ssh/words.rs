//! A command line in one string, as `UNGLUE_SSH` has it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// Splits a command at its spaces, as rsync splits the value of `-e`: single and double quotes keep spaces together, a quote
/// that is doubled within quotes of its own kind stands for itself, and a backslash is a character as any other.
///
/// # Errors
/// A quote is not closed, or there is no word.
///
/// ```
/// use unglue::ssh::split_command;
///
/// let words = split_command("ssh -o 'ProxyCommand=nc -X connect %h %p' -p 2222".as_ref()).unwrap();
/// assert_eq!(words, ["ssh", "-o", "ProxyCommand=nc -X connect %h %p", "-p", "2222"]);
/// assert_eq!(split_command(r#""it""s" 'it''s' a\ b"#.as_ref()).unwrap(), [r#"it"s"#, "it's", r"a\", "b"]);
/// assert!(split_command("ssh 'open".as_ref()).is_err());
/// ```
pub fn split_command(text: &OsStr) -> Result<Vec<OsString>, String> {
    let mut words: Vec<OsString> = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote: Option<u8> = None;
    let mut bytes = text.as_bytes().iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(open), _) if byte == open && bytes.peek() == Some(&open) => {
                bytes.next();
                word.get_or_insert_default().push(byte);
            }
            (Some(open), _) if byte == open => quote = None,
            (None, b'\'' | b'"') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, b' ') => words.extend(word.take().map(OsString::from_vec)),
            (_, byte) => word.get_or_insert_default().push(byte),
        }
    }
    if let Some(open) = quote {
        return Err(format!("{} has a {} that is not closed", text.display(), char::from(open)));
    }
    words.extend(word.map(OsString::from_vec));
    match words.is_empty() {
        true => Err(String::from("there is no command")),
        false => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_rsync_splits_them() {
        for (text, words) in [
            ("ssh", &["ssh"][..]),
            ("  ssh   -p 22  ", &["ssh", "-p", "22"]),
            ("ssh\t-p", &["ssh\t-p"]),
            ("ssh -o'A b'c", &["ssh", "-oA bc"]),
            ("ssh ''", &["ssh", ""]),
            ("ssh \"a'b\"", &["ssh", "a'b"]),
            ("ssh 'a''''b'", &["ssh", "a''b"]),
            ("ssh \\'a b\\'", &["ssh", "\\a b\\"]),
        ] {
            assert_eq!(split_command(text.as_ref()).expect(text), words, "{text}");
        }
        for text in ["", "   ", "ssh \"a"] {
            assert!(split_command(text.as_ref()).is_err(), "{text:?}");
        }
    }
}
