//! `--limit`: how many bytes a second.

use std::str::FromStr;

use unglue::Pace;

/// A rate as rsync's `--bwlimit` has it: without a unit in KiB a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit(u64);

impl Limit {
    /// What keeps to it. Zero means no limit.
    pub(crate) fn pace(limit: Option<Limit>) -> Pace {
        match limit {
            Some(Limit(rate)) if rate > 0 => Pace::limit(rate),
            _ => Pace::default(),
        }
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Limit, String> {
        let wrong = || format!("{text:?} is not a rate: write a number with K, M or G, such as 500K or 1.5M");
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let unit = match unit.to_ascii_lowercase().as_str() {
            "b" => 1.0,
            "" | "k" | "kib" => 1024.0,
            "m" | "mib" => 1024.0 * 1024.0,
            "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
            "kb" => 1e3,
            "mb" => 1e6,
            "gb" => 1e9,
            _ => return Err(wrong()),
        };
        let rate = number * unit;
        // Less than a byte a second would never end.
        match rate == 0.0 || rate >= 1.0 {
            true => Ok(Limit(rate as u64)),
            false => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_rsyncs() {
        for (text, rate) in [
            ("100", 102_400),
            ("0", 0),
            ("1.5m", 1_572_864),
            ("2G", 2 << 30),
            ("500K", 512_000),
            ("1MB", 1_000_000),
            ("7kib", 7168),
            ("10b", 10),
        ] {
            assert_eq!(text.parse(), Ok(Limit(rate)), "{text}");
        }
        for text in ["", "K", "-1", "1X", "1.2.3", "0.1b", "1 M", "nan"] {
            let why = text.parse::<Limit>().expect_err(text);
            assert!(why.contains("is not a rate"), "{why}");
        }
        assert_eq!((Limit::pace(None).rate(), Limit::pace(Some(Limit(0))).rate()), (None, None));
    }
}
