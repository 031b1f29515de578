//! OpenSSH's own container for private keys (PROTOCOL.key): the public half in the open, the private half in plain or
//! encrypted.

use super::numbers::RsaNumbers;
use crate::key::{KeyError, Material, PublicKey};
use crate::private_key::PrivateKey;
use crate::wire::Cursor;
use ssh_key::{Cipher, Kdf};
use zeroize::Zeroizing;

/// The label of its block.
pub(super) const LABEL: &[u8] = b"OPENSSH PRIVATE KEY";

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The bytes of an authentication tag, for the ciphers that have one.
const TAG: usize = 16;

/// A container whose open parts have been read.
pub(super) struct Container {
    public_key: PublicKey,
    cipher: Cipher,
    kdf: Kdf,
    /// The private half, encrypted unless the cipher is `none`.
    sealed: Zeroizing<Vec<u8>>,
    tag: Option<[u8; TAG]>,
}

/// Why a container, or what is in it, can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is damaged, in this way.
    Damaged(&'static str),
    /// The key is not one that we handle.
    Key(KeyError),
    /// The passphrase does not open it.
    Passphrase,
    /// It is encrypted in a way that we don't know.
    Encryption(String),
    /// The key itself is in a FIDO authenticator.
    Authenticator,
}

impl Container {
    /// Reads the bytes of a block.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Unusable> {
        let cut_short = Unusable::Damaged("it is cut short");
        let rest = bytes.strip_prefix(MAGIC).ok_or(Unusable::Damaged("it doesn't begin with openssh-key-v1"))?;
        let mut cursor = Cursor::new(rest);
        let mut string = || cursor.string().ok_or(cut_short.clone());
        let (cipher, kdf, kdf_options) = (string()?, string()?, string()?);
        let count = cursor.uint32().ok_or(cut_short.clone())?;
        if count != 1 {
            return Err(Unusable::Damaged("it doesn't hold exactly one key"));
        }
        let mut string = || cursor.string().ok_or(cut_short.clone());
        let (public_key, sealed) = (string()?, string()?);
        let (cipher, kdf) = (parse_cipher(cipher)?, parse_kdf(kdf, kdf_options)?);
        if cipher.is_none() != kdf.is_none() {
            return Err(Unusable::Damaged("it is encrypted without a passphrase, or the other way round"));
        }
        let tag = if cipher.has_tag() { Some(cursor.take(TAG).ok_or(cut_short)?) } else { None };
        if !cursor.is_empty() {
            return Err(Unusable::Damaged("something follows its end"));
        }
        if sealed.is_empty() || sealed.len() % cipher.block_size() != 0 {
            return Err(Unusable::Damaged("its private half is not whole blocks long"));
        }
        Ok(Self {
            public_key: PublicKey::from_wire(public_key).map_err(Unusable::Key)?,
            cipher,
            kdf,
            sealed: Zeroizing::new(sealed.to_vec()),
            tag: tag.and_then(|tag| tag.try_into().ok()),
        })
    }

    /// The public half, which is not encrypted.
    pub(super) fn public_key(&self) -> PublicKey {
        self.public_key.clone()
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.cipher.is_some()
    }

    /// The private half; the passphrase is not looked at if the container isn't encrypted.
    pub(super) fn open(&self, passphrase: &[u8]) -> Result<PrivateKey, Unusable> {
        let mut private = self.sealed.clone();
        if self.is_encrypted() {
            // An empty passphrase encrypts nothing.
            let derived = self.kdf.derive_key_and_iv(self.cipher, passphrase).map_err(|_| Unusable::Passphrase)?;
            let (key, iv) = derived;
            self.cipher.decrypt(&key, &iv, &mut private, self.tag).map_err(|_| Unusable::Passphrase)?;
        }
        self.parse_private(&private)
    }

    fn parse_private(&self, private: &[u8]) -> Result<PrivateKey, Unusable> {
        let mut cursor = Cursor::new(private);
        if cursor.uint32() != cursor.uint32() {
            // The two are the same random number, unless they were decrypted with another key.
            let damaged = Unusable::Damaged("its check numbers differ");
            return Err(if self.is_encrypted() { Unusable::Passphrase } else { damaged });
        }
        let key = self.parse_key(&mut cursor)?;
        let _comment = cursor.string().ok_or(SHORT)?;
        let padding = cursor.rest();
        if !padding.iter().zip(1u8..).all(|(&byte, due)| byte == due) || padding.len() > usize::from(u8::MAX) {
            return Err(Unusable::Damaged("its padding is not 1, 2, 3 …"));
        }
        Ok(key)
    }

    /// The fields of the private half (PROTOCOL.key, PROTOCOL.u2f, ssh-agent's SSH_AGENTC_ADD_IDENTITY).
    fn parse_key(&self, cursor: &mut Cursor<'_>) -> Result<PrivateKey, Unusable> {
        let foreign = Unusable::Damaged("its private and public halves don't belong together");
        let kind = cursor.string().ok_or(SHORT)?;
        if kind != self.public_key.kind().as_bytes() {
            return Err(foreign);
        }
        let mut string = || cursor.string().ok_or(SHORT);
        let key = match self.public_key.material() {
            Material::Ed25519(ours) => {
                let (public, secret) = (string()?, string()?);
                // 64 bytes: the seed, and the public half once more (RFC 8032 section 5.1.5).
                let (seed, again) = secret.split_first_chunk::<32>().ok_or(foreign.clone())?;
                if public != ours || again != ours {
                    return Err(foreign);
                }
                Some(PrivateKey::from_seed(seed))
            }
            Material::Ecdsa { curve, point } => {
                let (name, public) = (string()?, string()?);
                let secret = cursor.mpint().ok_or(SHORT)?;
                if name != curve.name().as_bytes() || public != point {
                    return Err(foreign);
                }
                PrivateKey::from_ecdsa(*curve, secret, point)
            }
            Material::Rsa { .. } => {
                let mut number = || cursor.mpint().ok_or(SHORT);
                let (modulus, exponent, secret) = (number()?, number()?, number()?);
                let (coefficient, p, q) = (number()?, number()?, number()?);
                let numbers = RsaNumbers { modulus, exponent, secret, coefficient, p, q };
                PrivateKey::from_pkcs1(&numbers.to_pkcs1()).map_err(Unusable::Key)?
            }
            // The private half is a handle that only the authenticator understands.
            Material::SkEd25519 { .. } | Material::SkEcdsa { .. } => return Err(Unusable::Authenticator),
        };
        key.filter(|key| key.public_key() == self.public_key).ok_or(foreign)
    }
}

const SHORT: Unusable = Unusable::Damaged("its private half is cut short");

fn parse_cipher(name: &[u8]) -> Result<Cipher, Unusable> {
    let text = std::str::from_utf8(name).ok();
    text.and_then(|name| Cipher::new(name).ok()).ok_or_else(|| unknown(name))
}

/// `bcrypt` has a salt and a number of rounds for options.
fn parse_kdf(name: &[u8], options: &[u8]) -> Result<Kdf, Unusable> {
    let mut cursor = Cursor::new(options);
    match name {
        b"none" => Ok(Kdf::None),
        b"bcrypt" => match (cursor.string(), cursor.uint32()) {
            (Some(salt), Some(rounds)) => Ok(Kdf::Bcrypt { salt: salt.to_vec(), rounds }),
            _ => Err(Unusable::Damaged("the parameters of its encryption are cut short")),
        },
        other => Err(unknown(other)),
    }
}

fn unknown(name: &[u8]) -> Unusable {
    Unusable::Encryption(name.escape_ascii().take(64).map(char::from).collect())
}
