//! Keys and certificates that nobody logs in with any more: a list of public keys, or a key revocation list (KRL), as sshd
//! reads them (sshd_config(5), RevokedKeys; OpenSSH PROTOCOL.krl).

use super::bounded;
use super::certificate::Certificate;
use super::key::{PublicKey, PublicKeyText};
use super::login::Credential;
use super::wire::Cursor;
use sha1::{Digest as _, Sha1};
use std::io;
use std::path::{Path, PathBuf};

/// The longest file that is read.
const MAX_FILE: usize = 16 * 1024 * 1024;

const MAGIC: &[u8] = b"SSHKRL\n\0";

/// The file of what is revoked. It is read afresh at every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedKeys {
    path: PathBuf,
}

impl RevokedKeys {
    /// The file at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the key, the certificate or its authority is revoked.
    ///
    /// # Errors
    ///
    /// The file can't be read, or is damaged. Then nobody may log in: it may revoke everybody.
    pub fn revokes(&self, credential: &Credential) -> io::Result<bool> {
        let (file, _) = bounded::open(&self.path)?;
        let text = bounded::read(&file, MAX_FILE)?;
        match text.strip_prefix(MAGIC) {
            Some(list) => {
                list_revokes(list, credential).ok_or_else(|| io::Error::other("the revocation list is damaged"))
            }
            None => Ok(text.split(|&byte| byte == b'\n').any(|line| line_revokes(line, credential))),
        }
    }
}

/// A line is a public key; what isn't one is passed over, as sshd does.
fn line_revokes(line: &[u8], credential: &Credential) -> bool {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (Some(kind), Some(base64)) = (words.next(), words.next()) else { return false };
    match PublicKeyText::parse(kind, base64) {
        Ok(PublicKeyText::Key(key)) => keys_of(credential).any(|own| *own == key),
        _ => false,
    }
}

/// The key, and the authority that signed it.
fn keys_of(credential: &Credential) -> impl Iterator<Item = &PublicKey> {
    [Some(credential.key()), credential.certificate().map(Certificate::authority)].into_iter().flatten()
}

/// Whether the sections of a KRL revoke it; `None` if the list is damaged or has a section that isn't known.
fn list_revokes(list: &[u8], credential: &Credential) -> Option<bool> {
    let mut cursor = Cursor::new(list);
    let _format = cursor.uint32().filter(|&version| version == 1)?;
    let (_version, _made, _flags) = (cursor.uint64()?, cursor.uint64()?, cursor.uint64()?);
    let (_reserved, _comment) = (cursor.string()?, cursor.string()?);
    let mut revoked = false;
    while let Some(&[section]) = cursor.take(1) {
        let data = cursor.string()?;
        revoked |= match section {
            1 => certificates_revoke(data, credential.certificate())?,
            2 => strings(data)?.any(|blob| keys_of(credential).any(|key| key.wire() == blob)),
            3 => strings(data)?.any(|digest| keys_of(credential).any(|key| Sha1::digest(key.wire())[..] == *digest)),
            5 => strings(data)?.any(|digest| keys_of(credential).any(|key| key.fingerprint().as_bytes() == digest)),
            // Signatures over the list stand at its end.
            4 => break,
            255 if !is_critical(data)? => false,
            _ => return None,
        };
    }
    Some(revoked)
}

/// The strings of a section; `None` if the last one is cut short.
fn strings(data: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let mut found = Vec::new();
    let mut cursor = Cursor::new(data);
    while !cursor.is_empty() {
        found.push(cursor.string()?);
    }
    Some(found.into_iter())
}

/// An extension's name is followed by whether it must be understood.
fn is_critical(data: &[u8]) -> Option<bool> {
    let mut cursor = Cursor::new(data);
    cursor.string()?;
    Some(cursor.take(1)? != [0])
}

/// A section about the certificates of one authority, or of all.
fn certificates_revoke(data: &[u8], certificate: Option<&Certificate>) -> Option<bool> {
    let mut cursor = Cursor::new(data);
    let (authority, _reserved) = (cursor.string()?, cursor.string()?);
    let meant = certificate.filter(|own| authority.is_empty() || own.authority().wire() == authority);
    let mut revoked = false;
    while let Some(&[section]) = cursor.take(1) {
        let data = cursor.string()?;
        let Some(meant) = meant else { continue };
        revoked |= match section {
            0x23 => strings(data)?.any(|id| id == meant.key_id_bytes()),
            0x39 if !is_critical(data)? => false,
            // A certificate without a number of its own has the number 0, which is never looked up.
            0x20..=0x22 if meant.serial() == 0 => false,
            0x20 => serials(data)?.contains(&meant.serial()),
            0x21 => match serials(data)?[..] {
                [first, last] => (first..=last).contains(&meant.serial()),
                _ => return None,
            },
            0x22 => bitmap_holds(data, meant.serial())?,
            _ => return None,
        };
    }
    Some(revoked)
}

fn serials(data: &[u8]) -> Option<Vec<u64>> {
    let mut cursor = Cursor::new(data);
    let mut found = Vec::new();
    while !cursor.is_empty() {
        found.push(cursor.uint64()?);
    }
    Some(found)
}

/// A number's lowest bit stands for the first serial.
fn bitmap_holds(data: &[u8], serial: u64) -> Option<bool> {
    let mut cursor = Cursor::new(data);
    let (first, bits) = (cursor.uint64()?, cursor.mpint()?);
    let Some(at) = serial.checked_sub(first).and_then(|at| usize::try_from(at).ok()) else { return Some(false) };
    let byte = bits.len().checked_sub(1 + at / 8).map_or(0, |place| bits[place]);
    Some(byte >> (at % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_lists_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let credential = Credential::Key(PublicKey::from_ed25519([1; 32]));
            let _ = list_revokes(&bytes, &credential);
            let _ = certificates_revoke(&bytes, None);
        }
    }
}
