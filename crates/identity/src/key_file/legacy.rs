//! PEM's own encryption (RFC 1421 section 4.6, as OpenSSL writes it): `DEK-Info` names a cipher and its start value, and MD5
//! makes the key from the passphrase. It is weak, and old keys have it.

use super::openssh::Unusable;
use md5::{Digest as _, Md5};
use ssh_key::Cipher;
use zeroize::Zeroizing;

/// How a block is encrypted.
pub(super) struct Encryption {
    cipher: Cipher,
    start: Vec<u8>,
}

impl Encryption {
    /// Reads the value of `DEK-Info`: `AES-128-CBC,0123…`.
    pub(super) fn parse(value: &[u8]) -> Result<Self, Unusable> {
        let damaged = || Unusable::Damaged("its DEK-Info line is damaged");
        let text = std::str::from_utf8(value).map_err(|_| damaged())?;
        let (name, hex) = text.split_once(',').ok_or_else(damaged)?;
        let cipher = match name.trim() {
            "AES-128-CBC" => Cipher::Aes128Cbc,
            "AES-192-CBC" => Cipher::Aes192Cbc,
            "AES-256-CBC" => Cipher::Aes256Cbc,
            "DES-EDE3-CBC" => Cipher::TDesCbc,
            other => return Err(Unusable::Encryption(other.chars().take(64).collect())),
        };
        let start = decode_hex(hex.trim()).filter(|start| start.len() == cipher.block_size()).ok_or_else(damaged)?;
        Ok(Self { cipher, start })
    }

    /// Decrypts the bytes of a block. With another passphrase the padding is wrong, or else what comes out is not a key.
    pub(super) fn open(&self, sealed: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unusable> {
        if sealed.is_empty() || !sealed.len().is_multiple_of(self.cipher.block_size()) {
            return Err(Unusable::Damaged("its private half is not whole blocks long"));
        }
        let (length, _) = self.cipher.key_and_iv_size().ok_or(Unusable::Passphrase)?;
        let key = derive(passphrase, &self.start[..8], length);
        let mut plain = Zeroizing::new(sealed.to_vec());
        self.cipher.decrypt(&key, &self.start, &mut plain, None).map_err(|_| Unusable::Passphrase)?;
        let padding = usize::from(*plain.last().ok_or(Unusable::Passphrase)?);
        let fits = (1..=self.cipher.block_size()).contains(&padding);
        if !fits || !plain.ends_with(&vec![padding as u8; padding]) {
            return Err(Unusable::Passphrase);
        }
        let length = plain.len() - padding;
        plain.truncate(length);
        Ok(plain)
    }
}

/// OpenSSL's EVP_BytesToKey with MD5 and one round.
fn derive(passphrase: &[u8], salt: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(length + 16));
    let mut last = Zeroizing::new(Vec::new());
    while key.len() < length {
        let digest = Md5::new().chain_update(&*last).chain_update(passphrase).chain_update(salt).finalize();
        *last = digest.to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(length);
    key
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
