//! Asking a person whether a server is the right one.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Write as _};

use unglue::UnknownHost;
use unglue::identity::PublicKey;

use crate::complaint::printable;

/// Asked again after an answer that is none of the three.
const AGAIN: &str = "Please type yes, no or the fingerprint: ";

/// What a person typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    /// The fingerprint of another key.
    AnotherKey,
    Unclear,
}

/// Whether a person at the terminal agrees that the server is the right one. Where there is no terminal, nobody agrees.
pub(crate) fn agreed(unknown: &UnknownHost) -> bool {
    io::stderr().is_terminal() && ask(unknown).unwrap_or(false)
}

/// Asks at the terminal itself, because standard input may be data.
fn ask(unknown: &UnknownHost) -> io::Result<bool> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let mut answers = BufReader::new(terminal.try_clone()?);
    terminal.write_all(question(unknown).as_bytes())?;
    loop {
        let mut line = String::new();
        if answers.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        match judge(&line, &unknown.key) {
            Answer::Yes => return Ok(true),
            Answer::No => return Ok(false),
            Answer::Unclear => terminal.write_all(AGAIN.as_bytes())?,
            Answer::AnotherKey => {
                terminal.write_all(b"That is not the fingerprint of this server's key.\n")?;
                terminal.write_all(AGAIN.as_bytes())?;
            }
        }
    }
}

fn question(unknown: &UnknownHost) -> String {
    let question = format!(
        "The server at {} is not known. Its host key is\n  {} {} ({})\nTrust it, and add it to {}? [yes/no/fingerprint] ",
        unknown.target,
        unknown.key.bits(),
        unknown.key.fingerprint(),
        unknown.key.key_kind().short_name(),
        unknown.file.display(),
    );
    question.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// As ssh: yes, no, or the fingerprint, which may be pasted without its `SHA256:`.
fn judge(line: &str, key: &PublicKey) -> Answer {
    let line = line.trim();
    let fingerprint = key.fingerprint().to_string();
    match line.to_ascii_lowercase().as_str() {
        "yes" | "y" => Answer::Yes,
        "no" | "n" | "" => Answer::No,
        _ if line == fingerprint || Some(line) == fingerprint.strip_prefix("SHA256:") => Answer::Yes,
        _ if line.starts_with("SHA256:") || line.len() == 43 => Answer::AnotherKey,
        _ => Answer::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_fingerprint_is_a_yes_and_a_typo_is_asked_again() {
        let key = PublicKey::from_ed25519([7; 32]);
        let fingerprint = key.fingerprint().to_string();
        for (line, answer) in [
            ("yes\n", Answer::Yes),
            ("YES", Answer::Yes),
            ("no\r\n", Answer::No),
            ("\n", Answer::No),
            ("yse\n", Answer::Unclear),
            (&format!(" {fingerprint}\n"), Answer::Yes),
            (&fingerprint["SHA256:".len()..], Answer::Yes),
            (&fingerprint.to_lowercase(), Answer::Unclear),
            (&PublicKey::from_ed25519([8; 32]).fingerprint().to_string(), Answer::AnotherKey),
        ] {
            assert_eq!(judge(line, &key), answer, "{line:?}");
        }
    }
}
