//! Byte strings in JSON.
//!
//! JSON has text only, while arguments, environments and file names are bytes (promise P9). A byte string that is
//! UTF-8 travels as a JSON string; any other as `{"base64": "…"}` (RFC 4648 section 4, with padding). Both forms
//! decode; UTF-8 encodes as a string always, so that equal bytes give equal messages.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::printable::Printable;

/// A byte string that is readable in JSON where it is text, and whole where it isn't.
///
/// ```
/// use unglue_proto::Octets;
///
/// assert_eq!(serde_json::to_string(&Octets::from("naïve")).unwrap(), r#""naïve""#);
/// let odd = Octets::from(vec![0xff, 0x00]);
/// assert_eq!(serde_json::to_string(&odd).unwrap(), r#"{"base64":"/wA="}"#);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Octets(pub Vec<u8>);

impl Octets {
    /// The bytes themselves.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Octets {
    fn from(text: &str) -> Self {
        Octets(text.as_bytes().to_vec())
    }
}

impl From<Vec<u8>> for Octets {
    fn from(bytes: Vec<u8>) -> Self {
        Octets(bytes)
    }
}

impl From<&[u8]> for Octets {
    fn from(bytes: &[u8]) -> Self {
        Octets(bytes.to_vec())
    }
}

#[cfg(unix)]
impl From<&std::ffi::OsStr> for Octets {
    fn from(text: &std::ffi::OsStr) -> Self {
        use std::os::unix::ffi::OsStrExt as _;
        Octets(text.as_bytes().to_vec())
    }
}

#[cfg(unix)]
impl From<Octets> for std::ffi::OsString {
    fn from(octets: Octets) -> Self {
        use std::os::unix::ffi::OsStringExt as _;
        std::ffi::OsString::from_vec(octets.0)
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// Text as it is, with whatever isn't printable text escaped (`\xff`, `\n`): fit for a terminal or a log line.
impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            Printable(chunk.valid()).fmt(f)?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Escaped<T> {
    base64: T,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Text(String),
    Escaped(Escaped<String>),
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Escaped { base64: STANDARD.encode(&self.0) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(Octets(text.into_bytes())),
            Form::Escaped(Escaped { base64 }) => STANDARD.decode(base64).map(Octets).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_byte_string_survives_json(bytes: Vec<u8>) {
            let json = serde_json::to_string(&Octets(bytes.clone())).unwrap();
            prop_assert_eq!(serde_json::from_str::<Octets>(&json).unwrap().0, bytes);
        }
    }

    #[test]
    fn display_escapes_what_a_terminal_would_act_on() {
        assert_eq!(Octets::from(b"a\x1b[2J\xff\n".as_slice()).to_string(), "a\\u{1b}[2J\\xff\\n");
        assert_eq!(Octets::from("invoice\u{202e}fdp.exe").to_string(), "invoice\\u{202e}fdp.exe");
    }

    #[test]
    fn broken_base64_is_refused() {
        assert!(serde_json::from_str::<Octets>(r#"{"base64":"?"}"#).is_err());
    }
}

#[cfg(test)]
mod conversions {
    use super::*;
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt as _;

    #[test]
    fn they_keep_every_byte() {
        let bytes = b"a\xff b";
        let octets = Octets::from(bytes.to_vec());
        assert_eq!(octets.as_bytes(), bytes);
        assert_eq!(Octets::from(OsStr::from_bytes(bytes)), octets);
        assert_eq!(format!("{octets:?}"), "\"a\\xff b\"");
        assert_eq!(OsString::from(octets).as_bytes(), bytes);
    }
}
