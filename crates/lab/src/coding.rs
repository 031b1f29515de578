//! How text is spelt on the wire: as it is, or in GBK for a peer on Chinese Windows.

use std::borrow::Cow;
use std::io::{self, Write};
use std::str::FromStr;

use encoding_rs::{Decoder, GBK};

use crate::LabError;

/// The coding of commands and replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coding {
    /// Bytes as they are; text among them is UTF-8.
    #[default]
    Utf8,
    /// GBK, code page 936.
    Gbk,
}

impl Coding {
    /// Text as it goes on the wire. What isn't UTF-8 has no translation and goes as it is; a character that GBK doesn't
    /// have becomes `?`.
    pub fn to_wire<'a>(&self, local: &'a [u8]) -> Cow<'a, [u8]> {
        match (self, std::str::from_utf8(local)) {
            (Coding::Gbk, Ok(text)) if !text.is_ascii() => Cow::Owned(to_gbk(text)),
            _ => Cow::Borrowed(local),
        }
    }

    /// What came from the wire, in one piece.
    pub fn from_wire<'a>(&self, wire: &'a [u8]) -> Cow<'a, [u8]> {
        match self {
            Coding::Utf8 => Cow::Borrowed(wire),
            Coding::Gbk => match GBK.decode_without_bom_handling(wire).0 {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
        }
    }

    /// What translates a message that comes from the wire in pieces.
    pub fn decoding(self) -> Decoding {
        Decoding { coding: self, decoder: self.decoder() }
    }

    fn decoder(self) -> Option<Decoder> {
        match self {
            Coding::Utf8 => None,
            Coding::Gbk => Some(GBK.new_decoder_without_bom_handling()),
        }
    }
}

impl FromStr for Coding {
    type Err = LabError;

    fn from_str(name: &str) -> Result<Coding, LabError> {
        match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => Ok(Coding::Utf8),
            "gbk" | "cp936" | "gb2312" => Ok(Coding::Gbk),
            _ => Err(LabError::misuse(format!("`{name}` is not an encoding of the lab"), "it has utf-8 and gbk")),
        }
    }
}

fn to_gbk(text: &str) -> Vec<u8> {
    let mut wire = Vec::with_capacity(text.len());
    for character in text.chars() {
        let mut utf8 = [0; 4];
        let (bytes, _, unmappable) = GBK.encode(character.encode_utf8(&mut utf8));
        wire.extend_from_slice(if unmappable { b"?" } else { &bytes });
    }
    wire
}

/// A message on its way from the wire. A character that is cut between two pieces is kept until its rest is there.
pub struct Decoding {
    coding: Coding,
    decoder: Option<Decoder>,
}

impl Decoding {
    /// Passes a piece on.
    ///
    /// # Errors
    /// The writer's.
    pub fn pass(&mut self, wire: &[u8], to: &mut (impl Write + ?Sized)) -> io::Result<()> {
        match &mut self.decoder {
            None => to.write_all(wire),
            Some(decoder) => decode(decoder, wire, false, to),
        }
    }

    /// Ends the message: what is left of a character that was never completed becomes U+FFFD, and the next message begins anew.
    ///
    /// # Errors
    /// The writer's.
    pub fn end(&mut self, to: &mut (impl Write + ?Sized)) -> io::Result<()> {
        match std::mem::replace(&mut self.decoder, self.coding.decoder()) {
            None => Ok(()),
            Some(mut decoder) => decode(&mut decoder, &[], true, to),
        }
    }
}

fn decode(decoder: &mut Decoder, wire: &[u8], last: bool, to: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let mut text = String::with_capacity(decoder.max_utf8_buffer_length(wire.len()).unwrap_or(3 * wire.len() + 3));
    // The buffer is large enough for all of it.
    let _ = decoder.decode_to_string(wire, &mut text, last);
    to.write_all(text.as_bytes())
}

impl std::fmt::Debug for Decoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoding").field("coding", &self.coding).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gbk_goes_there_and_back() {
        let wire = Coding::Gbk.to_wire("dir 你好".as_bytes());
        assert_eq!(wire, b"dir \xc4\xe3\xba\xc3".as_slice());
        assert_eq!(Coding::Gbk.from_wire(&wire), "dir 你好".as_bytes());
        assert_eq!(Coding::Gbk.to_wire("a😀".as_bytes()), b"a?".as_slice());
    }

    #[test]
    fn what_is_no_utf8_goes_as_it_is() {
        assert_eq!(Coding::Gbk.to_wire(b"\xc4\xe3\xba\xc3"), b"\xc4\xe3\xba\xc3".as_slice());
        assert_eq!(Coding::Utf8.to_wire(b"\xff"), b"\xff".as_slice());
    }

    #[test]
    fn a_character_cut_in_two_is_put_together() {
        let mut text = Vec::new();
        let mut decoding = Coding::Gbk.decoding();
        for byte in b"\xc4\xe3\xba\xc3\xc4" {
            decoding.pass(&[*byte], &mut text).expect("a vector takes it");
        }
        decoding.end(&mut text).expect("a vector takes it");
        // Another message, which the half character doesn't reach.
        decoding.pass(b"abc", &mut text).expect("a vector takes it");
        assert_eq!(String::from_utf8(text).expect("UTF-8"), "你好\u{fffd}abc");
    }
}
