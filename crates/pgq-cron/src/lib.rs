//! Cron expressions: what they mean, how PgQueuer's schedules table spells them, and when they are
//! due next.
//!
//! This crate is pure: it uses no clock and no database. The dialect is that of croniter, which
//! PgQueuer uses, including its oddities: Python workers and hosts share a row by its text, so both
//! must read the same times from it. `docs/schedules.md` describes the dialect, and a test compares
//! this crate with croniter itself.

mod days;
mod expression;
mod field;
mod kind;
mod zone;

use chrono::{DateTime, Utc};
use jiff::Timestamp;
use jiff::civil::date;

use expression::Expression;
use zone::{HORIZON_YEARS, Zone};

/// Marks an expression with a time zone in the schedules table. No Python worker can register it,
/// because croniter rejects it.
const ZONE_PREFIX: &str = "CRON_TZ=";

/// Why an expression is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schedule {expression:?} {problem}")]
pub struct CronError {
    expression: String,
    problem: String,
}

/// A cron expression, in UTC or in a time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    expression: Expression,
    zone: Zone,
}

impl Schedule {
    /// Parse an expression in the time zone with this IANA name.
    ///
    /// # Errors
    ///
    /// Fails if the expression or the zone is invalid, and also if the expression is well-formed
    /// but never due in any year, which its author surely did not intend.
    pub fn new(expression: &str, zone: &str) -> Result<Schedule, CronError> {
        let refused = |problem: String| CronError { expression: expression.to_owned(), problem };
        let zone = Zone::named(zone).map_err(refused)?;
        let parsed = Expression::parse(expression).map_err(refused)?;
        if parsed.next(date(1970, 1, 1).at(0, 0, 0, 0), 2099 + HORIZON_YEARS).is_none() {
            return Err(refused("is never due: the calendar has no such day".into()));
        }
        Ok(Schedule { expression: parsed, zone })
    }

    /// Parse what [`Schedule::key`] returned.
    ///
    /// # Errors
    ///
    /// Fails if the text is not such a key.
    pub fn from_key(key: &str) -> Result<Schedule, CronError> {
        match key.strip_prefix(ZONE_PREFIX).and_then(|rest| rest.split_once(' ')) {
            Some((zone, expression)) => Schedule::new(expression, zone),
            None => Schedule::new(key, "UTC"),
        }
    }

    /// The text for the column `expression`: in UTC what PgQueuer would write, otherwise the same
    /// after `CRON_TZ=Zone/Name`.
    pub fn key(&self) -> String {
        match self.zone.name() {
            None => self.expression.normalised().to_owned(),
            Some(zone) => format!("{ZONE_PREFIX}{zone} {}", self.expression.normalised()),
        }
    }

    /// The first time it is due after `time`. `None` if that is more than 50 years away.
    pub fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let after = Timestamp::from_second(time.timestamp()).ok()?;
        let next = self.zone.next(&self.expression, after)?;
        DateTime::from_timestamp(next.as_second(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Local times with their zone's abbreviation.
    fn next(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::new(expression, zone).unwrap();
        let timezone = jiff::tz::TimeZone::get(zone).unwrap();
        let mut time: DateTime<Utc> = after.parse().unwrap();
        (0..count)
            .map(|_| {
                time = schedule.next_after(time).unwrap();
                let zoned = Timestamp::from_second(time.timestamp()).unwrap().to_zoned(timezone.clone());
                zoned.strftime("%m-%d %H:%M %Z").to_string()
            })
            .collect()
    }

    #[test]
    fn a_time_that_the_spring_takes_away_comes_at_the_first_instant_after() {
        assert_eq!(
            next("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
            ["03-28 02:30 CET", "03-29 03:00 CEST", "03-30 02:30 CEST"]
        );
        assert_eq!(
            next("0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["03-29 03:00 CEST", "03-30 02:00 CEST"]
        );
        // The time at which the gap ends is due as well, but only once.
        assert_eq!(
            next("0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["03-29 03:00 CEST", "03-30 02:00 CEST"]
        );
        assert_eq!(
            next("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", 2),
            ["03-08 03:00 EDT", "03-09 02:30 EDT"]
        );
    }

    #[test]
    fn a_time_that_the_autumn_brings_twice_comes_once() {
        assert_eq!(
            next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["10-25 02:30 CEST", "10-26 02:30 CET"]
        );
        assert_eq!(
            next("*/30 1,2 * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 4),
            ["10-25 02:00 CEST", "10-25 02:30 CEST", "10-26 01:00 CET", "10-26 01:30 CET"]
        );
        assert_eq!(
            next("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2),
            ["11-01 01:30 EDT", "11-02 01:30 EST"]
        );
        // Asked during the second hour with the same name.
        assert_eq!(next("30 1 * * *", "America/New_York", "2026-11-01T06:10:00Z", 1), ["11-02 01:30 EST"]);
    }

    #[test]
    fn what_is_due_in_every_hour_neither_stops_in_autumn_nor_hurries_in_spring() {
        assert_eq!(
            next("30 * * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", 4),
            ["10-25 01:30 CEST", "10-25 02:30 CEST", "10-25 02:30 CET", "10-25 03:30 CET"]
        );
        assert_eq!(
            next("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2),
            ["03-29 01:30 CET", "03-29 03:30 CEST"]
        );
        assert_eq!(
            next("*/30 * * * *", "America/New_York", "2026-03-08T06:30:00Z", 2),
            ["03-08 03:00 EDT", "03-08 03:30 EDT"]
        );
        assert_eq!(
            next("0 * * * *", "America/New_York", "2026-11-01T04:00:00Z", 3),
            ["11-01 01:00 EDT", "11-01 01:00 EST", "11-01 02:00 EST"]
        );
    }

    /// The rules, minute by minute: a time that the clock shows for the first time or skips is due,
    /// and one that it shows again is not. What is due in every hour is due whenever the clock
    /// shows it.
    #[test]
    fn clocks_minute_by_minute() {
        let zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"];
        let expressions =
            ["*/15 * * * *", "30 * * * *", "15,45 1-3 * * *", "0 */2 * * *", "*/20 2 * * 0", "59 1 1-31/2 * *"];
        for (zone, expression) in zones.iter().flat_map(|zone| expressions.map(|expression| (zone, expression))) {
            let timezone = jiff::tz::TimeZone::get(zone).unwrap();
            let parsed = Expression::parse(expression).unwrap();
            let schedule = Schedule::new(expression, zone).unwrap();
            let due_within = |after, until| parsed.next(after, 2030).is_some_and(|next| next <= until);
            for (from, days) in [(date(2026, 3, 5), 40), (date(2026, 9, 25), 45)] {
                let start = from.at(0, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second();
                let local = |second| timezone.to_datetime(Timestamp::from_second(second).unwrap());
                let (mut expected, mut passed) = (Vec::new(), local(start));
                for second in (start..start + days * 86_400).step_by(60).skip(1) {
                    let (before, now) = (local(second - 60), local(second));
                    let due = if parsed.every_hour() {
                        due_within(now.checked_sub(jiff::Span::new().minutes(1)).unwrap(), now)
                    } else {
                        now > passed && due_within(passed.max(before), now)
                    };
                    passed = passed.max(now);
                    expected.extend(due.then_some(second));
                }
                let first = DateTime::from_timestamp(start, 0);
                let found = std::iter::successors(first, |time| schedule.next_after(*time))
                    .skip(1)
                    .map(|time| time.timestamp());
                let found: Vec<i64> = found.take_while(|second| *second < start + days * 86_400).collect();
                assert_eq!(found, expected, "{expression} in {zone}");
            }
        }
    }

    #[test]
    fn a_key_is_read_back_and_is_plain_in_utc() {
        for (expression, zone, key) in [
            ("@Hourly", "UTC", "0 * * * *"),
            ("0 9  * * MON", "etc/utc", "0 9 * * mon"),
            ("0 9 * * *", "europe/berlin", "CRON_TZ=Europe/Berlin 0 9 * * *"),
        ] {
            let schedule = Schedule::new(expression, zone).unwrap();
            assert_eq!(schedule.key(), key);
            assert_eq!(Schedule::from_key(key).unwrap().key(), key);
        }
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        for (expression, zone, part) in [
            ("0 0 31 2 *", "UTC", "is never due"),
            ("0 0 * * R", "UTC", "random"),
            ("H * * * *", "UTC", "`h`"),
            ("61 * * * *", "UTC", "61"),
            ("0 0 * *", "UTC", "4 fields"),
            ("@reboot", "UTC", "@hourly"),
            ("0 9 * * *", "Europe/Atlantis", "Europe/Atlantis"),
        ] {
            let error = Schedule::new(expression, zone).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_year_that_is_over_is_no_mistake_but_has_no_next_time() {
        let schedule = Schedule::new("0 0 1 1 * 0 2020", "UTC").unwrap();
        assert_eq!(schedule.next_after("2026-01-01T00:00:00Z".parse().unwrap()), None);
    }
}
