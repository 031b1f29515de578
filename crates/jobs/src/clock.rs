//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use unglue_proto::message::Time;

/// Now; before 1970, it is 1970.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time { seconds: since.as_secs().try_into().unwrap_or(i64::MAX), nanoseconds: since.subsec_nanos() }
}
