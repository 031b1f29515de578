//! OpenSSH certificates: a key that an authority signed, with names, a time and restrictions (OpenSSH PROTOCOL.certkeys).
//!
//! Reading a certificate checks its form and the authority's signature. Whether the authority is trusted, for these names and
//! at this time, is for [`AuthorizedKeys`](super::AuthorizedKeys) and [`KnownHosts`](super::KnownHosts) to say.

use super::key::{Fingerprint, KeyError, KeyKind, Material, PublicKey};
use super::signature;
use super::sshsig::ProofError;
use super::wire::{Cursor, algorithm_name};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The most names in a certificate, as in OpenSSH.
const MAX_PRINCIPALS: usize = 256;

/// The longest certificate that is looked at, in its wire form.
const MAX_WIRE: usize = 8 * 1024;

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateUse {
    /// It identifies a user.
    User,
    /// It identifies a host.
    Host,
}

/// A certificate whose authority's signature holds. A clone is cheap.
#[derive(Clone)]
pub struct Certificate(Arc<Contents>);

/// Names, and values in the form of their own.
type Options = Vec<(Vec<u8>, Vec<u8>)>;

struct Contents {
    wire: Vec<u8>,
    key: PublicKey,
    serial: u64,
    purpose: CertificateUse,
    key_id: Vec<u8>,
    principals: Vec<Vec<u8>>,
    valid_after: u64,
    valid_before: u64,
    critical: Options,
    extensions: Options,
    authority: PublicKey,
}

impl Certificate {
    /// Reads the wire form, and checks the authority's signature.
    ///
    /// # Errors
    ///
    /// [`CertificateError`]: it is not a certificate, or not one that its authority has signed.
    pub fn from_wire(wire: &[u8]) -> Result<Self, CertificateError> {
        if wire.len() > MAX_WIRE {
            return Err(CertificateError::Malformed("it is longer than 8 KiB"));
        }
        let mut cursor = Cursor::new(wire);
        let name = string(&mut cursor)?;
        let name = algorithm_name(name).ok_or(CertificateError::Malformed("its kind is not a name"))?;
        let kind = KeyKind::ALL.into_iter().find(|kind| kind.certificate_name() == name);
        let kind = kind.ok_or_else(|| KeyError::Unsupported { kind: name.to_owned() })?;
        let _nonce = string(&mut cursor)?;
        let key = PublicKey::new(Material::read(kind, &mut cursor)?);
        let serial = cursor.uint64().ok_or(CUT_SHORT)?;
        let purpose = match cursor.uint32().ok_or(CUT_SHORT)? {
            1 => CertificateUse::User,
            2 => CertificateUse::Host,
            _ => return Err(CertificateError::Malformed("it is neither for a user nor for a host")),
        };
        let key_id = string(&mut cursor)?.to_vec();
        let principals = names(string(&mut cursor)?)?;
        let (valid_after, valid_before) = (cursor.uint64().ok_or(CUT_SHORT)?, cursor.uint64().ok_or(CUT_SHORT)?);
        let (critical, extensions) = (pairs(string(&mut cursor)?)?, pairs(string(&mut cursor)?)?);
        let _reserved = string(&mut cursor)?;
        let authority = PublicKey::from_wire(string(&mut cursor)?).map_err(CertificateError::Authority)?;
        let signed = &wire[..wire.len() - cursor.rest().len()];
        let signature = string(&mut cursor)?;
        if !cursor.is_empty() {
            return Err(CertificateError::Malformed("something follows its end"));
        }
        signature::verify(&authority, signed, signature).map_err(CertificateError::Signature)?;
        Ok(Self(Arc::new(Contents {
            wire: wire.to_vec(),
            key,
            serial,
            purpose,
            key_id,
            principals,
            valid_after,
            valid_before,
            critical,
            extensions,
            authority,
        })))
    }

    /// Reads the one-line form, `ssh-ed25519-cert-v01@openssh.com AAAA… comment`, as in a `-cert.pub` file.
    ///
    /// # Errors
    ///
    /// As [`from_wire`](Self::from_wire).
    pub fn from_openssh(line: &str) -> Result<Self, CertificateError> {
        let malformed =
            CertificateError::Malformed("a certificate is written as: ssh-ed25519-cert-v01@openssh.com AAAA…");
        let mut words = line.split_ascii_whitespace();
        let (Some(kind), Some(base64)) = (words.next(), words.next()) else { return Err(malformed) };
        let wire = STANDARD.decode(base64).map_err(|_| CertificateError::Malformed("its base64 is damaged"))?;
        let certificate = Self::from_wire(&wire)?;
        if certificate.kind() == kind { Ok(certificate) } else { Err(malformed) }
    }

    /// Whether a line of text or a kind's name is about a certificate, whatever else is wrong with it.
    pub fn is_named_by(kind: &str) -> bool {
        let name = kind.split_ascii_whitespace().next().unwrap_or_default();
        KeyKind::ALL.into_iter().any(|kind| kind.certificate_name() == name)
    }

    /// Reads the file beside a private key, as ssh does: `FILE-cert.pub`. `None` if there is none for `key` that is read.
    pub(super) fn beside(file: &Path, key: &PublicKey) -> Option<Self> {
        let mut path = file.as_os_str().to_owned();
        path.push("-cert.pub");
        let (file, _) = super::bounded::open(Path::new(&path)).ok()?;
        let text = super::bounded::read(&file, 2 * MAX_WIRE).ok()?;
        match Self::from_openssh(std::str::from_utf8(&text).ok()?) {
            Ok(certificate) if certificate.key() == key => Some(certificate),
            Ok(_) => {
                tracing::warn!("skipped the certificate {}: it is for another key", Path::new(&path).display());
                None
            }
            Err(error) => {
                tracing::warn!("skipped the certificate {}: {error}", Path::new(&path).display());
                None
            }
        }
    }

    /// The key that it is for.
    pub fn key(&self) -> &PublicKey {
        &self.0.key
    }

    /// The authority that signed it.
    pub fn authority(&self) -> &PublicKey {
        &self.0.authority
    }

    /// For a user or for a host.
    pub fn purpose(&self) -> CertificateUse {
        self.0.purpose
    }

    /// The number that its authority gave it.
    pub fn serial(&self) -> u64 {
        self.0.serial
    }

    /// What its authority calls it, for logs.
    pub fn key_id(&self) -> String {
        self.0.key_id.escape_ascii().to_string()
    }

    pub(super) fn key_id_bytes(&self) -> &[u8] {
        &self.0.key_id
    }

    /// The users or hosts that it is for.
    pub fn principals(&self) -> impl Iterator<Item = &[u8]> {
        self.0.principals.iter().map(Vec::as_slice)
    }

    /// The first second, and the one behind the last, that it is valid for, since 1970 in UTC.
    pub fn validity(&self) -> (u64, u64) {
        (self.0.valid_after, self.0.valid_before)
    }

    /// The options that restrict it: all of them must be known and enforced.
    pub(super) fn critical_options(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.0.critical
    }

    /// The options that widen it.
    pub(super) fn extensions(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.0.extensions
    }

    /// The name of its kind.
    pub fn kind(&self) -> &'static str {
        self.0.key.key_kind().certificate_name()
    }

    /// Its wire form.
    pub fn to_wire(&self) -> Vec<u8> {
        self.0.wire.clone()
    }

    /// The one-line form, without comment or line end.
    pub fn to_openssh(&self) -> String {
        format!("{} {}", self.kind(), STANDARD.encode(&self.0.wire))
    }

    /// The fingerprint of its key.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.key.fingerprint()
    }

    /// Whether it is one for `purpose`, and `now`, in seconds since 1970, lies within its time.
    ///
    /// # Errors
    ///
    /// [`CertificateError`], which says why not.
    pub fn check(&self, purpose: CertificateUse, now: u64) -> Result<(), CertificateError> {
        let Contents { valid_after, valid_before, .. } = *self.0;
        match () {
            () if self.0.purpose != purpose => Err(CertificateError::Use { wanted: purpose }),
            () if now < valid_after => Err(CertificateError::NotYetValid { seconds: valid_after - now }),
            () if now >= valid_before => Err(CertificateError::Expired { seconds: now - valid_before }),
            () => Ok(()),
        }
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.wire == other.0.wire
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({self})")
    }
}

impl fmt::Display for Certificate {
    /// For logs: its id, number and authority.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.0.authority.fingerprint();
        write!(f, "certificate {:?} (serial {}) by {authority}", self.key_id(), self.0.serial)
    }
}

const CUT_SHORT: CertificateError = CertificateError::Malformed("it is cut short");

fn string<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], CertificateError> {
    cursor.string().ok_or(CUT_SHORT)
}

fn names(list: &[u8]) -> Result<Vec<Vec<u8>>, CertificateError> {
    let mut cursor = Cursor::new(list);
    let mut names = Vec::new();
    while !cursor.is_empty() {
        if names.len() == MAX_PRINCIPALS {
            return Err(CertificateError::Malformed("it has more than 256 names"));
        }
        names.push(string(&mut cursor)?.to_vec());
    }
    Ok(names)
}

/// Names and values, in their order.
fn pairs(list: &[u8]) -> Result<Options, CertificateError> {
    let mut cursor = Cursor::new(list);
    let mut pairs = Options::new();
    while !cursor.is_empty() {
        let (name, value) = (string(&mut cursor)?, string(&mut cursor)?);
        pairs.push((name.to_vec(), value.to_vec()));
    }
    Ok(pairs)
}

/// Why bytes are not a certificate that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Not a certificate at all.
    #[error("the certificate is malformed: {0}. Copy it again, whole, or have its authority sign the key again")]
    Malformed(&'static str),
    /// Its key is of a kind or size that isn't handled.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its authority's key is of a kind or size that isn't handled.
    #[error("the key of the certificate's authority can't be used: {0}")]
    Authority(KeyError),
    /// Its authority has not signed it.
    #[error("the signature of the certificate's authority does not hold: {0}")]
    Signature(ProofError),
    /// It is for something else.
    #[error("the certificate is not for a {}. Have its authority sign one that is", match .wanted { CertificateUse::User => "user (ssh-keygen -s without -h)", CertificateUse::Host => "host (ssh-keygen -s -h)" })]
    Use {
        /// What it would have to be for.
        wanted: CertificateUse,
    },
    /// Its time has not come.
    #[error("the certificate becomes valid in {seconds} s. Wait, or check this machine's clock")]
    NotYetValid {
        /// In how many seconds it does.
        seconds: u64,
    },
    /// Its time is over.
    #[error("the certificate expired {seconds} s ago. Have its authority sign a new one")]
    Expired {
        /// How many seconds ago it did.
        seconds: u64,
    },
    /// It names others.
    #[error("the certificate is not for {name:?}. Have its authority sign one that names it")]
    Principal {
        /// The user or host that it would have to name.
        name: String,
    },
    /// It has a restriction that isn't known, so that it can't be enforced.
    #[error(
        "the certificate has the critical option {name:?}, which is not known here. Have its authority leave it out"
    )]
    CriticalOption {
        /// The option's name.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Certificate::from_wire(&bytes).is_err());
            let named = [&b"\0\0\0\x20ssh-ed25519-cert-v01@openssh.com"[..], &bytes].concat();
            prop_assert!(Certificate::from_wire(&named).is_err());
        }
    }
}
