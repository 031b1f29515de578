//! Key files as different programs write them: what `ssh-keygen -y` reads is read, and gives the same key.

use super::known_hosts::Dice;
use super::{has, keygen, tool, write};
use std::path::Path;
use unglue_identity::{KeyFile, Passphrase};

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";

/// The public key that ssh-keygen derives, if it reads the file.
fn theirs(path: &Path, passphrase: &str) -> Option<String> {
    let output = tool("ssh-keygen", ["-y", "-P", passphrase, "-f", path.to_str().expect("UTF-8")]).output();
    let output = output.expect("ssh-keygen runs");
    let words: Vec<String> = super::printed(&output).split_whitespace().take(2).map(str::to_owned).collect();
    output.status.success().then(|| words.join(" "))
}

fn ours(path: &Path, passphrase: &str) -> Option<String> {
    let key = KeyFile::open(path).and_then(|file| file.unlock(&|_| Some(Passphrase::new(passphrase.to_owned()))));
    key.inspect_err(|error| assert!(error.to_string().len() < 500, "{error}"))
        .ok()
        .map(|key| key.public_key().to_openssh())
}

fn base64_of(path: &Path) -> String {
    std::fs::read_to_string(path).expect("read").lines().filter(|line| !line.starts_with('-')).collect()
}

fn wrapped(base64: &str, width: usize, line_end: &str) -> String {
    let lines: Vec<&str> =
        (0..base64.len()).step_by(width).map(|at| &base64[at..base64.len().min(at + width)]).collect();
    lines.join(line_end) + line_end
}

/// Each way of writing the same key, by name; whether OpenSSH 9.2 reads it is for ssh-keygen to say.
fn variants(base64: &str) -> Vec<(String, String)> {
    let usual = wrapped(base64, 70, "\n");
    let mut all = Vec::new();
    let mut add = |name: &str, text: String| all.push((name.to_owned(), text));
    for width in [1, 3, 64, 70, 76, 78, 100_000] {
        let body = wrapped(base64, width, "\n");
        add(&format!("lines of {width}"), format!("{BEGIN}\n{body}{END}\n"));
    }
    add("CR LF", format!("{BEGIN}\r\n{}{END}\r\n", wrapped(base64, 70, "\r\n")));
    add("CR LF in the body", format!("{BEGIN}\n{}{END}\n", wrapped(base64, 70, "\r\n")));
    add("text after the end", format!("{BEGIN}\n{usual}{END}\nssh-ed25519 AAAA\n\nmore"));
    add("another key after the end", format!("{BEGIN}\n{usual}{END}\n{BEGIN}\nAAAA\n{END}\n"));
    add("blank lines inside", format!("{BEGIN}\n\n{}\n\n{END}\n", wrapped(base64, 70, "\n\n")));
    add("blank lines in front", format!("\n\n{BEGIN}\n{usual}{END}\n"));
    add("text in front", format!("From: ada\n\n{BEGIN}\n{usual}{END}\n"));
    add("no last line end", format!("{BEGIN}\n{usual}{END}"));
    add(
        "blanks and tabs",
        format!("{BEGIN}\n  {}\t{END}\n", usual.replace('\n', " \n\t ").trim_end_matches([' ', '\t'])),
    );
    add("blanks behind the labels", format!("{BEGIN} \n{usual}{END} \n"));
    add("a byte order mark", format!("\u{feff}{BEGIN}\n{usual}{END}\n"));
    add("no padding", format!("{BEGIN}\n{}\n{END}\n", base64.trim_end_matches('=')));
    all
}

#[test]
fn every_writers_text_is_read() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    // Comments of different lengths, so that the base64 ends in none, one and two `=`.
    for comment in ["", "a", "ab", "abc", "a much longer comment, with caf\u{e9}"] {
        let path = directory.path().join(format!("id{}", comment.len()));
        keygen(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path.to_str().expect("UTF-8")]);
        let expected = theirs(&path, "").expect("its own");
        let mut read = 0;
        for (name, text) in variants(&base64_of(&path)) {
            let variant = directory.path().join("variant");
            write(&variant, text, 0o600);
            // All of them, those that OpenSSH refuses included: they hold a whole key.
            assert_eq!(ours(&variant, "").as_ref(), Some(&expected), "{name}");
            if let Some(key) = theirs(&variant, "") {
                assert_eq!(key, expected, "{name}");
                read += 1;
            }
        }
        assert!(read >= 10, "ssh-keygen read {read} of them");
    }
}

#[test]
fn every_cipher_of_openssh_is_read() {
    if !has("ssh-keygen") || !has("ssh") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let ciphers = super::printed(&tool("ssh", ["-Q", "cipher"]).output().expect("ssh runs"));
    assert!(ciphers.lines().count() >= 6, "{ciphers}");
    for (number, cipher) in ciphers.lines().enumerate() {
        let path = directory.path().join(number.to_string());
        let text = path.to_str().expect("UTF-8");
        keygen(["-q", "-t", "ed25519", "-a", "1", "-Z", cipher, "-N", "secret", "-C", "", "-f", text]);
        let expected = theirs(&path, "secret");
        assert!(expected.is_some() && ours(&path, "secret") == expected, "{cipher}");
        assert_eq!(ours(&path, "other"), None, "{cipher}");
    }
}

#[test]
fn a_comment_may_be_any_bytes() {
    if !has("ssh-keygen") {
        return;
    }
    use std::os::unix::ffi::OsStrExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("id");
    let comment = std::ffi::OsStr::from_bytes(b"caf\xe9");
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-C"].map(std::ffi::OsStr::new);
    keygen(arguments.into_iter().chain([comment, "-f".as_ref(), path.as_os_str()]));
    assert_eq!(ours(&path, ""), theirs(&path, ""));
}

/// Whatever damage leaves a key that OpenSSH reads leaves one that we read, and the same.
#[test]
fn damage_is_judged_as_openssh_judges_it() {
    if !has("ssh-keygen") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("id");
    keygen(["-q", "-t", "ed25519", "-N", "", "-C", "comment", "-f", path.to_str().expect("UTF-8")]);
    let text = std::fs::read(&path).expect("read");
    let mut dice = Dice(11);
    let mut read = 0;
    for _ in 0..300 {
        let mut damaged = text.clone();
        let at = dice.below(damaged.len());
        match dice.below(3) {
            0 => damaged[at] = b" \n\r=A\t\x0b-"[dice.below(8)],
            1 => drop(damaged.remove(at)),
            _ => damaged.insert(at, b" \n\r=A\t\x0c-"[dice.below(8)]),
        }
        write(&path, &damaged, 0o600);
        if let Some(key) = theirs(&path, "") {
            match KeyFile::open(&path).and_then(|file| file.unlock(&|_| None)) {
                Ok(ours) => assert_eq!(ours.public_key().to_openssh(), key),
                // ssh-keygen prints the public half as it stands, even where the private one belongs to another.
                Err(error) => assert!(error.to_string().contains("don't belong together"), "{error}"),
            }
            read += 1;
        }
    }
    assert!(read > 30, "{read} of them were read");
}
