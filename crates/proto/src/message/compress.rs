//! How the server compresses what it sends in an operation.

use serde::{Deserialize, Serialize};

use super::exec::Nothing;
use super::tagged;
use crate::mux::{Compression, ZSTD_LEVELS};

tagged! {
    /// The field `compress` of a request: how the server compresses its data streams in this operation. How the client
    /// compresses its own is its own affair. A kind of a later version means not at all.
    pub enum Compress {
        /// Where it pays: `{"auto": {}}`.
        "auto" => Auto(Nothing),
        /// Always, at a level of zstd's: `{"zstd": {"level": 3}}`.
        "zstd" => Zstd(Level),
    }
}

/// A level of zstd's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// 1 to 19; the nearest of them counts for another one.
    pub level: u8,
}

impl Compress {
    /// What asks for it; nothing asks for none.
    pub fn request(compression: Compression) -> Option<Compress> {
        match compression {
            Compression::Off => None,
            Compression::Auto => Some(Compress::Auto(Nothing {})),
            Compression::Zstd(level) => Some(Compress::Zstd(Level { level })),
        }
    }

    /// What a request asks for.
    pub fn asked(compress: Option<&Compress>) -> Compression {
        match compress {
            None | Some(Compress::Unknown(_)) => Compression::Off,
            Some(Compress::Auto(_)) => Compression::Auto,
            Some(Compress::Zstd(Level { level })) => {
                Compression::Zstd((*level).clamp(*ZSTD_LEVELS.start(), *ZSTD_LEVELS.end()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_what_was_requested() {
        for compression in [Compression::Off, Compression::Auto, Compression::Zstd(1), Compression::Zstd(19)] {
            assert_eq!(Compress::asked(Compress::request(compression).as_ref()), compression);
        }
        let asked = |json: &str| Compress::asked(Some(&serde_json::from_str(json).expect("it parses")));
        assert_eq!(asked(r#"{"zstd":{"level":0}}"#), Compression::Zstd(1));
        assert_eq!(asked(r#"{"zstd":{"level":22}}"#), Compression::Zstd(19));
        assert_eq!(asked(r#"{"brotli":{"quality":3}}"#), Compression::Off);
    }
}
