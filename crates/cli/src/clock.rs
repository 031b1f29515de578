//! Times as people and programs read them: RFC 3339, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use unglue::Time;

use crate::calendar::date;

/// `2026-11-26T01:06:05.123Z`.
pub(crate) fn rfc3339(time: &Time) -> String {
    format!("{}.{:03}Z", date(time.seconds).replace(' ', "T"), time.nanoseconds / 1_000_000)
}

/// The time now, as [`rfc3339`] writes it.
pub(crate) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc3339(&Time { seconds: since.as_secs() as i64, nanoseconds: since.subsec_nanos() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_a_zone() {
        let time = Time { seconds: 1_795_655_165, nanoseconds: 7_999_999 };
        assert_eq!(rfc3339(&time), "2026-11-26T01:06:05.007Z");
    }
}
