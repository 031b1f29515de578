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

    /// A writer that translates what came from the wire and passes it on. A character that is cut between two writes is
    /// kept until its rest is there.
    pub fn translator<W: Write>(self, to: W) -> Translator<W> {
        let decoder = match self {
            Coding::Utf8 => None,
            Coding::Gbk => Some(GBK.new_decoder_without_bom_handling()),
        };
        Translator { decoder, to }
    }
}

impl FromStr for Coding {
    type Err = LabError;

    fn from_str(name: &str) -> Result<Coding, LabError> {
        match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => Ok(Coding::Utf8),
            "gbk" | "cp936" | "gb2312" => Ok(Coding::Gbk),
            _ => Err(LabError::misuse(format!("`{name}` is no encoding of the lab"), "it has utf-8 and gbk")),
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

/// See [`Coding::translator`].
pub struct Translator<W> {
    decoder: Option<Decoder>,
    to: W,
}

impl<W: Write> Translator<W> {
    /// Passes on what is left of a character that was never completed, as U+FFFD.
    ///
    /// # Errors
    /// The writer's.
    pub fn finish(&mut self) -> io::Result<()> {
        match self.decoder.take() {
            Some(mut decoder) => self.pass(&mut decoder, &[], true),
            None => Ok(()),
        }
    }

    fn pass(&mut self, decoder: &mut Decoder, wire: &[u8], last: bool) -> io::Result<()> {
        let mut text = String::with_capacity(decoder.max_utf8_buffer_length(wire.len()).unwrap_or(3 * wire.len() + 3));
        let _ = decoder.decode_to_string(wire, &mut text, last);
        self.to.write_all(text.as_bytes())
    }
}

impl<W: Write> Write for Translator<W> {
    fn write(&mut self, wire: &[u8]) -> io::Result<usize> {
        match self.decoder.take() {
            None => self.to.write(wire),
            Some(mut decoder) => {
                let passed = self.pass(&mut decoder, wire, false);
                self.decoder = Some(decoder);
                passed.map(|()| wire.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W> std::fmt::Debug for Translator<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Translator").field("translates", &self.decoder.is_some()).finish_non_exhaustive()
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
        let mut translator = Coding::Gbk.translator(&mut text);
        for byte in b"\xc4\xe3\xba\xc3\xc4" {
            translator.write_all(&[*byte]).expect("a vector takes it");
        }
        translator.finish().expect("a vector takes it");
        assert_eq!(String::from_utf8(text).expect("UTF-8"), "你好\u{fffd}");
    }
}
