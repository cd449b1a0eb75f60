//! Moments in grants: whole seconds, written as RFC 3339 in UTC.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Seconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(i64);

/// Why a text is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time of whole seconds such as 2026-11-29T08:00:00Z")]
pub struct NotATime(String);

impl Time {
    /// This many seconds after 1970 UTC; `None` beyond the years that can be written.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        Timestamp::from_second(seconds).ok().map(|_| Self(seconds))
    }

    /// Seconds since 1970 UTC.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_second(self.0) {
            Ok(time) => fmt::Display::fmt(&time, out),
            Err(_) => write!(out, "{} s", self.0),
        }
    }
}

impl FromStr for Time {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let time: Option<Timestamp> = text.parse().ok();
        let whole = time.filter(|time| time.subsec_nanosecond() == 0);
        whole
            .map(|time| Self(time.as_second()))
            .ok_or_else(|| NotATime(text.to_owned()))
    }
}

impl TryFrom<String> for Time {
    type Error = NotATime;

    fn try_from(text: String) -> Result<Self, NotATime> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_whole_seconds_and_is_written_in_utc() {
        let time: Time = "2026-11-29T10:00:00+02:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-29T08:00:00Z");
        assert_eq!(Time::from_seconds(time.seconds()), Some(time));
        for bad in ["", "2026-11-29", "2026-11-29T08:00:00.5Z", "now"] {
            assert!(bad.parse::<Time>().is_err(), "{bad}");
        }
        assert_eq!(Time::from_seconds(i64::MAX), None);
    }
}
