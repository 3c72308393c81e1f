//! Local time, and its changes in spring and autumn.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::expression::Expression;

/// croniter's own limit for looking ahead.
pub(super) const HORIZON_YEARS: i16 = 50;

/// `None` means UTC.
#[derive(Debug, Clone)]
pub(super) struct Zone(Option<TimeZone>);

impl Zone {
    /// A zone by its IANA name, in any case.
    pub(super) fn named(name: &str) -> Result<Zone, String> {
        if ["utc", "etc/utc", "zulu", "gmt", "etc/gmt"].contains(&name.to_ascii_lowercase().as_str()) {
            return Ok(Zone(None));
        }
        let zone = TimeZone::get(name).ok().filter(|zone| zone.iana_name().is_some());
        zone.map(|zone| Zone(Some(zone))).ok_or_else(|| {
            format!("is in the time zone {name:?}, which is unknown; write an IANA name like Europe/Berlin")
        })
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.0.as_ref().and_then(TimeZone::iana_name)
    }

    pub(super) fn next(&self, expression: &Expression, after: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            None => instant(expression, after, &TimeZone::UTC),
            Some(zone) if expression.every_hour() => elapsed(expression, after, zone),
            Some(zone) => instant(expression, after, zone),
        }
    }
}

fn next_local(expression: &Expression, after: DateTime) -> Option<DateTime> {
    expression.next(after, after.year().saturating_add(HORIZON_YEARS))
}

/// For an expression that names hours: each local time once, at its first occurrence, or right
/// after the gap that skips it.
///
/// The instants of successive local times never go backwards, so the first local time whose instant
/// is later is the answer. During the repeated hour of an autumn night, the following local times
/// were all due an hour ago and are skipped.
fn instant(expression: &Expression, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let mut local = zone.to_datetime(after);
    loop {
        local = next_local(expression, local)?;
        let due = match zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                offset.to_timestamp(local).ok()?
            }
            AmbiguousOffset::Gap { before, .. } => end_of_gap(before.to_timestamp(local).ok()?, zone)?,
        };
        if due > after {
            return Some(due);
        }
    }
}

/// The end of the gap, at or shortly before this instant.
fn end_of_gap(within: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let later = Timestamp::from_second(within.as_second() + 1).ok()?;
    zone.preceding(later).next().map(|change| change.timestamp())
}

/// For an expression that is due in every hour: due whenever the clock on the wall shows a matching
/// time, so that a change of the clocks neither pauses it nor makes it fire more often. Between two
/// changes, the offset is constant.
fn elapsed(expression: &Expression, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let mut from = after;
    loop {
        let offset = zone.to_offset(from);
        let due = offset.to_timestamp(next_local(expression, offset.to_datetime(from))?).ok()?;
        match zone.following(from).next().map(|change| change.timestamp()) {
            // At the instant of the change, the new offset already applies: search again from one
            // second before it. `from` still has the old offset then, so the new one is given
            // explicitly.
            Some(change) if due >= change => {
                let offset = zone.to_offset(change);
                let before = Timestamp::from_second(change.as_second() - 1).ok()?;
                let due = offset.to_timestamp(next_local(expression, offset.to_datetime(before))?).ok()?;
                let again = zone.following(change).next().map(|change| change.timestamp());
                if again.is_none_or(|again| due < again) {
                    return Some(due);
                }
                from = change;
            }
            _ => return Some(due),
        }
    }
}
