//! `--compress`: how files are compressed on their way.

use std::str::FromStr;

use unglue::{Compression, ZSTD_LEVELS};

/// `auto`, `off` or `zstd:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Compress(pub(crate) Compression);

impl FromStr for Compress {
    type Err = String;

    fn from_str(text: &str) -> Result<Compress, String> {
        let level = |text: &str| text.parse().ok().filter(|level| ZSTD_LEVELS.contains(level));
        match text {
            "auto" => Ok(Compress(Compression::Auto)),
            "off" => Ok(Compress(Compression::Off)),
            _ => match text.strip_prefix("zstd:").and_then(level) {
                Some(level) => Ok(Compress(Compression::Zstd(level))),
                None => Err(format!("{text:?} is not a compression: write auto, off, or zstd:1 to zstd:19")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_written() {
        for (text, compression) in [
            ("auto", Compression::Auto),
            ("off", Compression::Off),
            ("zstd:1", Compression::Zstd(1)),
            ("zstd:19", Compression::Zstd(19)),
        ] {
            assert_eq!(text.parse(), Ok(Compress(compression)));
        }
        for text in ["", "on", "zstd", "zstd:", "zstd:0", "zstd:20", "zstd:-1", "zstd:x", "gzip"] {
            assert!(text.parse::<Compress>().expect_err(text).contains("zstd:19"), "{text}");
        }
    }
}
