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
    /// A key of another kind in the PEM format of its own, such as `RSA`.
    OldPem(&'static str),
    /// An encrypted PKCS#8 key.
    EncryptedPkcs8,
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
            Some(b"RSA PRIVATE KEY") => return Self::OldPem("RSA"),
            Some(b"EC PRIVATE KEY") => return Self::OldPem("ECDSA"),
            Some(b"DSA PRIVATE KEY") => return Self::OldPem("DSA"),
            Some(b"ENCRYPTED PRIVATE KEY") => return Self::EncryptedPkcs8,
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
            Self::OldPem(_) => "This release logs in with ed25519 keys only; make one with: unglue key init".to_owned(),
            Self::EncryptedPkcs8 => {
                let plain = beside(".plain");
                let (from, to) = (ShellWord(path), ShellWord(&plain));
                format!("Write it without encryption, and name that file: openssl pkey -in {from} -out {to}")
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
            Self::EncryptedPkcs8 => f.write_str("it is an encrypted PKCS#8 key"),
            Self::Putty => f.write_str("it is a PuTTY key"),
            Self::PublicKey => f.write_str("it is a public key"),
            Self::Utf16 => f.write_str("its text is UTF-16"),
            Self::Encryption(name) => write!(f, "it is encrypted with {name}, which this release doesn't know"),
            Self::Damaged(why) => write!(f, "it is damaged ({why})"),
            Self::Unknown => f.write_str("it is not a key"),
        }
    }
}
