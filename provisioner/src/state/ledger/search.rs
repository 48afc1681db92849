//! Which entries of the ledger are meant.

use std::str::FromStr;

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime};

use super::{Ending, Entry};

/// What entries must have in common; what is absent does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The kit's serial number or the secure element's, or its last digits; upper or lower case.
    pub serial: Option<String>,
    /// The thing name, or its beginning.
    pub thing: Option<String>,
    /// Not before.
    pub since: Option<OffsetDateTime>,
    /// How it ended.
    pub outcome: Option<Ending>,
    /// The station.
    pub station: Option<String>,
}

impl Filter {
    /// Whether the entry is meant.
    pub fn matches(&self, entry: &Entry) -> bool {
        let ends = |serial: &Option<String>, end: &str| {
            serial.as_ref().is_some_and(|serial| serial.to_uppercase().ends_with(&end.to_uppercase()))
        };
        let begins = |thing: &Option<String>, begin: &str| {
            thing.as_ref().is_some_and(|thing| thing.starts_with(&begin.to_lowercase()))
        };
        self.serial
            .as_ref()
            .is_none_or(|end| ends(&entry.usb_serial, end) || ends(&entry.secure_element_serial, end))
            && self.thing.as_ref().is_none_or(|begin| begins(&entry.thing_name, begin))
            && self.since.is_none_or(|since| entry.when >= since)
            && self.outcome.is_none_or(|outcome| entry.outcome == outcome)
            && self.station.as_ref().is_none_or(|station| entry.station == *station)
    }
}

/// A point in time as users give it: a time (RFC 3339), a day (UTC), or how long ago (`30m`, `8h`, `7d`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// This time.
    At(OffsetDateTime),
    /// So long ago.
    Ago(Duration),
}

impl Since {
    /// The point in time, seen from `now`.
    pub fn seen_from(self, now: OffsetDateTime) -> OffsetDateTime {
        match self {
            Self::At(time) => time,
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(OffsetDateTime::UNIX_EPOCH),
        }
    }
}

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
            return Ok(Self::At(time));
        }
        if let Ok(day) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
            return Ok(Self::At(day.midnight().assume_utc()));
        }
        duration(text)
            .map(Self::Ago)
            .ok_or("give a day (2026-01-31), a time (2026-01-31T08:00:00Z) or how long ago (30m, 8h, 7d)")
    }
}

/// A duration as users give it: a number and `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let number = i64::from(text.strip_suffix(unit)?.parse::<u32>().ok()?);
    Some(match unit {
        's' => Duration::seconds(number),
        'm' => Duration::minutes(number),
        'h' => Duration::hours(number),
        'd' => Duration::days(number),
        _ => return None,
    })
}
