//! How a person names a moment of the evidence, and the records between two of them.
//!
//! What is named is as long as it was named precisely: a date is a whole day, `12:03` a minute, and
//! `12:03:04.512`, as `lineage ls` shows it, the millisecond. Records begin with its first nanosecond or
//! end with its last, so that a time copied from a listing always includes the line it was copied from.

use std::str::FromStr;

use crate::evidence::schema::Record;

/// A moment, or a part of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// From one nanosecond since 1970 UTC to another, both included.
    At(i64, i64),
    /// From one nanosecond of a day to another; the day is the last one of the evidence.
    OfLastDay(i64, i64),
    /// So many nanoseconds before the last record.
    Back(i64),
    /// The record with this `seq`.
    Record(u64),
}

/// Records between two moments, both included; all of them by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between {
    times: (i64, i64),
    seqs: (u64, u64),
}

/// What a moment is written like.
const EXPECTED: &str = "expected a time such as 12:03, 2026-11-24 or 2026-11-24T12:03:04Z, a span before the last \
     record such as 5m, or a record such as @4711";

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Units of spans, in nanoseconds.
const UNITS: &[(&str, i64)] = &[
    ("ms", 1_000_000),
    ("s", SECOND),
    ("min", MINUTE),
    ("m", MINUTE),
    ("h", HOUR),
    ("d", DAY),
];

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = match text.strip_prefix('@') {
            Some(seq) => seq.parse().ok().map(Self::Record),
            None => moment(text)
                .or_else(|| of_day(text).map(|(first, last)| Self::OfLastDay(first, last)))
                .or_else(|| span(text).map(Self::Back)),
        };
        known.ok_or_else(|| format!("{EXPECTED}, not {text:?}"))
    }
}

impl When {
    /// Whether it depends on when the evidence ends.
    #[must_use]
    pub fn is_relative(self) -> bool {
        matches!(self, Self::OfLastDay(..) | Self::Back(_))
    }

    /// First and last nanosecond, where the last record is of this one; a record has none.
    fn times(self, end_ns: i64) -> Option<(i64, i64)> {
        match self {
            Self::At(first, last) => Some((first, last)),
            Self::OfLastDay(first, last) => {
                let day = end_ns.saturating_sub(end_ns.rem_euclid(DAY));
                Some((day.saturating_add(first), day.saturating_add(last)))
            }
            Self::Back(span) => Some((end_ns.saturating_sub(span), end_ns.saturating_sub(span))),
            Self::Record(_) => None,
        }
    }
}

impl Default for Between {
    fn default() -> Self {
        Self {
            times: (i64::MIN, i64::MAX),
            seqs: (0, u64::MAX),
        }
    }
}

impl Between {
    /// What lies between two moments of evidence whose last record is of `end_ns`, nanoseconds since 1970 UTC. That is
    /// only looked at when one of them [is relative](When::is_relative).
    #[must_use]
    pub fn new(since: Option<When>, until: Option<When>, end_ns: i64) -> Self {
        let mut between = Self::default();
        match since {
            Some(When::Record(seq)) => between.seqs.0 = seq,
            Some(when) => between.times.0 = when.times(end_ns).map_or(i64::MIN, |times| times.0),
            None => {}
        }
        match until {
            Some(When::Record(seq)) => between.seqs.1 = seq,
            Some(when) => between.times.1 = when.times(end_ns).map_or(i64::MAX, |times| times.1),
            None => {}
        }
        between
    }

    /// Whether nothing can be between the two.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seqs.0 > self.seqs.1 || self.times.0 > self.times.1
    }

    /// Whether the record is one of those. One without time is of no time in particular.
    #[must_use]
    pub fn contains(&self, record: &Record<'_>) -> bool {
        let within = |seq: u64| (self.seqs.0..=self.seqs.1).contains(&seq);
        let during = |time: i64| (self.times.0..=self.times.1).contains(&time);
        record.seq.is_none_or(within)
            && match record.time_ns {
                Some(time) => during(time),
                None => self.times == Self::default().times,
            }
    }
}

/// A date, or a date and a time: `T` or a space between them, then `Z`, an offset such as `+02:00`, or neither,
/// which is UTC.
fn moment(text: &str) -> Option<When> {
    let date: jiff::civil::Date = text.get(..10)?.parse().ok()?;
    let midnight = format!("{date}T00:00:00Z")
        .parse::<jiff::Timestamp>()
        .ok()?;
    let midnight = midnight.as_second().checked_mul(SECOND)?;
    let Some(rest) = text[10..].strip_prefix(['T', 't', ' ']) else {
        let whole_day = text.len() == 10 || matches!(&text[10..], "Z" | "z");
        return whole_day.then(|| When::At(midnight, midnight.saturating_add(DAY - 1)));
    };
    let (time, ahead_ns) = match rest.strip_suffix(['Z', 'z']) {
        Some(time) => (time, 0),
        None => match rest.rfind(['+', '-']) {
            Some(at) => (&rest[..at], offset(&rest[at..])?),
            None => (rest, 0),
        },
    };
    let (first, last) = of_day(time)?;
    let midnight = midnight.checked_sub(ahead_ns)?;
    Some(When::At(
        midnight.checked_add(first)?,
        midnight.checked_add(last)?,
    ))
}

/// How far ahead of UTC `+02:00` is.
fn offset(text: &str) -> Option<i64> {
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let ns = two_digits(hours, 23)? * HOUR + two_digits(minutes, 59)? * MINUTE;
    Some(if text.starts_with('-') { -ns } else { ns })
}

/// First and last nanosecond of a part of the day: `HH:MM`, `HH:MM:SS`, or with a fraction.
fn of_day(text: &str) -> Option<(i64, i64)> {
    let (hour, rest) = text.split_once(':')?;
    let (minute, second) = match rest.split_once(':') {
        Some((minute, second)) => (minute, Some(second)),
        None => (rest, None),
    };
    let first = two_digits(hour, 23)? * HOUR + two_digits(minute, 59)? * MINUTE;
    let Some(second) = second else {
        return Some((first, first + MINUTE - 1));
    };
    let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
    // A leap second is the one before, as in the clocks of the kernel.
    let first = first + two_digits(second, 60)?.min(59) * SECOND;
    if text.ends_with('.') || fraction.len() > 9 || !is_digits(fraction) {
        return None;
    }
    let step = 10_i64.pow(9 - u32::try_from(fraction.len()).ok()?);
    let first = first + fraction.parse().unwrap_or(0) * step;
    Some((first, first + step - 1))
}

fn two_digits(text: &str, most: i64) -> Option<i64> {
    let number = text
        .parse()
        .ok()
        .filter(|_| text.len() == 2 && is_digits(text))?;
    (number <= most).then_some(number)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A moment in UTC, `2026-11-24 12:03:04.512345678`, from nanoseconds since 1970.
pub(super) fn utc(time_ns: i64) -> String {
    let of_day = time_ns.rem_euclid(DAY);
    let (hour, minute, second) = (of_day / HOUR, of_day / MINUTE % 60, of_day / SECOND % 60);
    let (date, ns) = (super::ls::date(time_ns.div_euclid(DAY)), of_day % SECOND);
    format!("{date} {hour:02}:{minute:02}:{second:02}.{ns:09}")
}

/// Nanoseconds of a span: numbers with their units, `5m` or `1h30m`; `None` when it is not written so.
#[must_use]
pub fn span(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: Option<i64> = None;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let (_, ns) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let part = number.parse::<i64>().ok()?.checked_mul(*ns)?;
        total = Some(total.unwrap_or_default().checked_add(part)?);
        rest = after;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-24 00:00 UTC.
    const MIDNIGHT: i64 = 1_795_478_400 * SECOND;

    #[test]
    fn moments_are_as_long_as_they_are_precise() {
        let when = |text: &str| text.parse::<When>();
        let noon = MIDNIGHT + 12 * HOUR;
        for (text, first, length) in [
            ("2026-11-24", MIDNIGHT, DAY),
            ("2026-11-24T12:00", noon, MINUTE),
            ("2026-11-24 12:00:01", noon + SECOND, SECOND),
            ("2026-11-24T12:00:00.512Z", noon + 512_000_000, 1_000_000),
            ("2026-11-24T14:30:00+02:30", noon, SECOND),
            ("2026-11-24t11:00:00.000000001-01:00", noon + 1, 1),
        ] {
            assert_eq!(
                when(text),
                Ok(When::At(first, first + length - 1)),
                "{text}"
            );
        }
        assert_eq!(
            when("12:03"),
            Ok(When::OfLastDay(
                12 * HOUR + 3 * MINUTE,
                12 * HOUR + 4 * MINUTE - 1
            ))
        );
        assert_eq!(when("1h30m"), Ok(When::Back(HOUR + 30 * MINUTE)));
        assert_eq!(when("0s"), Ok(When::Back(0)));
        assert_eq!(when("@4711"), Ok(When::Record(4711)));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "@",
            "@-1",
            "@x",
            "5",
            "m",
            "5x",
            "-5m",
            "5m3",
            "24:00",
            "12:60",
            "1:00",
            "12:00:61",
            "12:00:00.",
            "12:00:00.1234567890",
            "12:00:00.-1",
            "+1:+2",
            "2026-13-01",
            "2026-11-24T",
            "2026-11-24X",
            "2026-11-24T12:00+2",
            "99999999999d",
            "9223372036854775807s",
            "漢字漢字漢字",
            "yesterday",
            "9999-12-31T23:59:59-01:00",
        ] {
            assert!(text.parse::<When>().is_err(), "{text}");
        }
    }

    #[test]
    fn both_ends_are_included() {
        let at = |seq, time_ns| Record {
            seq: Some(seq),
            time_ns: Some(time_ns),
            ..Record::default()
        };
        let between = |since: Option<&str>, until: Option<&str>| {
            let when = |text: &str| text.parse::<When>().unwrap();
            Between::new(since.map(when), until.map(when), MIDNIGHT + HOUR)
        };
        let minute = between(Some("00:10"), Some("00:10"));
        assert!(!minute.contains(&at(1, MIDNIGHT + 10 * MINUTE - 1)));
        assert!(minute.contains(&at(1, MIDNIGHT + 10 * MINUTE)));
        assert!(minute.contains(&at(1, MIDNIGHT + 11 * MINUTE - 1)));
        assert!(!minute.contains(&at(1, MIDNIGHT + 11 * MINUTE)));
        let last = between(Some("5m"), None);
        assert!(!last.contains(&at(1, MIDNIGHT + 55 * MINUTE - 1)));
        assert!(last.contains(&at(1, MIDNIGHT + 55 * MINUTE)));
        let records = between(Some("@5"), Some("@6"));
        let found = (4..8)
            .filter(|seq| records.contains(&at(*seq, 0)))
            .collect::<Vec<_>>();
        assert_eq!(found, [5, 6]);
        assert!(Between::default().contains(&Record::default()));
        assert!(!last.contains(&Record::default()));
    }

    #[test]
    fn times_at_the_limits_of_numbers_are_no_fault() {
        let back = Between::new(Some(When::Back(i64::MAX)), Some(When::Back(0)), i64::MIN);
        assert!(!back.contains(&Record {
            time_ns: Some(0),
            ..Record::default()
        }));
        let day = Between::new(Some(When::OfLastDay(0, DAY - 1)), None, i64::MAX);
        assert!(day.contains(&Record {
            time_ns: Some(i64::MAX),
            ..Record::default()
        }));
        let first = Between::new(Some(When::OfLastDay(0, DAY - 1)), None, i64::MIN);
        assert!(first.contains(&Record {
            time_ns: Some(0),
            ..Record::default()
        }));
    }
}
