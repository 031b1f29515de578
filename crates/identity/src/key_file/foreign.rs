//! What a file holds that is not a private key of ours, and what its user can do about that.

use crate::shell_word::ShellWord;
use std::fmt;
use std::path::Path;

/// What a file holds instead of a private key that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotAKey {
    /// Nothing.
    Empty,
    /// A key of a kind that isn't handled, in the PEM format of its own: `DSA`.
    OldPem(&'static str),
    /// An encrypted key in a format that hides its public half, without the `.pub` file that shows it.
    NoPublicHalf,
    /// A key that is in a FIDO authenticator.
    SecurityKey,
    /// A key in PuTTY's format.
    Putty,
    /// A public key.
    PublicKey,
    /// A private key whose text is UTF-16.
    Utf16,
    /// A private key that is encrypted in a way of this name, which is not known here.
    Encryption(String),
    /// A private key that is damaged, in this way.
    Damaged(&'static str),
    /// Something that is not a key.
    Unknown,
}

impl NotAKey {
    /// Tells apart what people name by mistake: by the label of its first block, if it has one, or by how it begins.
    pub(super) fn recognise(label: Option<&[u8]>, text: &[u8]) -> Self {
        match label {
            Some(b"DSA PRIVATE KEY") => return Self::OldPem("DSA"),
            Some(b"PUBLIC KEY" | b"SSH2 PUBLIC KEY") => return Self::PublicKey,
            _ => {}
        }
        let text = text.trim_ascii_start();
        let starts = |words: &[&str]| words.iter().any(|word| text.starts_with(word.as_bytes()));
        match text {
            [] => Self::Empty,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Self::Utf16,
            _ if starts(&["PuTTY-User-Key-File"]) => Self::Putty,
            _ if starts(&["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-", "---- BEGIN SSH2 PUBLIC KEY"]) => Self::PublicKey,
            _ if starts(&["-----BEGIN"]) && label.is_none() => Self::Damaged("its first line is not whole"),
            _ => Self::Unknown,
        }
    }

    /// What the user can do about it. Each command works as it stands.
    pub(crate) fn advice(&self, path: &Path) -> String {
        let beside = |ending: &str| {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(ending);
            path.with_file_name(name)
        };
        match self {
            Self::OldPem(_) => "OpenSSH has dropped that kind too; make another key with: unglue key init".to_owned(),
            Self::NoPublicHalf => {
                let public = beside(".pub");
                let (from, to) = (ShellWord(path), ShellWord(&public));
                format!("Write the public half beside it: ssh-keygen -y -f {from} > {to}")
            }
            Self::SecurityKey => {
                format!("Hand it to an ssh-agent, which talks to the authenticator: ssh-add {}", ShellWord(path))
            }
            Self::Putty => {
                let converted = beside(".openssh");
                let (from, to) = (ShellWord(path), ShellWord(&converted));
                format!("Convert it, and name the new file: puttygen {from} -O private-openssh-new -o {to}")
            }
            Self::PublicKey => match path.extension() {
                Some(ending) if ending == "pub" => {
                    format!("Name the private key beside it: {}", ShellWord(&path.with_extension("")))
                }
                _ => "Name the file of the private key instead; it begins with -----BEGIN".to_owned(),
            },
            Self::Utf16 => {
                let converted = beside(".utf8");
                let (from, to) = (ShellWord(path), ShellWord(&converted));
                format!("Convert it, and name the new file: (umask 077; iconv -f UTF-16 -t UTF-8 {from} >{to})")
            }
            Self::Encryption(_) => format!("Encrypt it anew: ssh-keygen -p -Z aes256-ctr -f {}", ShellWord(path)),
            Self::Empty | Self::Damaged(_) => {
                "Restore it from a copy; or make another with `unglue key init`, and authorise that".to_owned()
            }
            Self::Unknown => "Name a file that ssh-keygen -t ed25519 or `unglue key init` has made".to_owned(),
        }
    }
}

impl fmt::Display for NotAKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty"),
            Self::OldPem(kind) => write!(f, "it is an {kind} key in the old PEM format"),
            Self::NoPublicHalf => {
                f.write_str("it is encrypted in a format that hides its public half, and FILE.pub is missing")
            }
            Self::SecurityKey => f.write_str("its key is in a FIDO authenticator, and no ssh-agent holds it"),
            Self::Putty => f.write_str("it is a PuTTY key"),
            Self::PublicKey => f.write_str("it is a public key"),
            Self::Utf16 => f.write_str("its text is UTF-16"),
            Self::Encryption(name) => write!(f, "it is encrypted with {name}, which this release doesn't know"),
            Self::Damaged(why) => write!(f, "it is damaged ({why})"),
            Self::Unknown => f.write_str("it is not a key"),
        }
    }
}
