//! A whole expression, and the search for the next time it is due.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime};

use super::days::Days;
use super::field::Field;
use super::kind::Kind;

/// croniter's macros, as it expands them.
const MACROS: [(&str, &str); 7] = [
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

#[derive(Debug, Clone)]
pub(super) struct Expression {
    normalised: String,
    seconds: Vec<i8>,
    minutes: Vec<i8>,
    hours: Vec<i8>,
    days: Days,
    /// `None` means any.
    months: Option<BTreeSet<u32>>,
    years: Option<BTreeSet<u32>>,
}

impl Expression {
    pub(super) fn parse(text: &str) -> Result<Expression, String> {
        let lower = text.to_lowercase();
        let expanded = MACROS.iter().find(|(name, _)| *name == lower).map_or(lower.as_str(), |(_, expanded)| expanded);
        // In croniter, as in cron, only these characters separate fields.
        let texts: Vec<&str> =
            expanded.split([' ', '\t', '\n', '\r', '\x0b', '\x0c']).filter(|text| !text.is_empty()).collect();
        if texts.len() == 1 && texts[0].starts_with('@') {
            let names = MACROS.map(|(name, _)| name).join(", ");
            return Err(format!("is not a known macro; the macros are {names}"));
        }
        if !(5..=7).contains(&texts.len()) {
            return Err(format!(
                "has {} fields; a cron expression has 5, 6 (the last for seconds) or 7 (the last for years)",
                texts.len()
            ));
        }
        let fields = Kind::ALL
            .iter()
            .zip(&texts)
            .map(|(kind, text)| Field::parse(*kind, text))
            .collect::<Result<Vec<_>, _>>()?;
        let mut fields = fields.into_iter();
        let mut field = |kind: Kind| fields.next().unwrap_or_else(|| Field::absent(kind));
        let (minute, hour, day, month, weekday) =
            (field(Kind::Minute), field(Kind::Hour), field(Kind::Day), field(Kind::Month), field(Kind::Weekday));
        let (second, year) = (field(Kind::Second), field(Kind::Year));
        // A day field that lists all days restricts nothing, but counts as a star only if the other
        // field contains a star.
        let days = Days::new(day.collapsed_if(texts[4].contains('*')), weekday.collapsed_if(texts[2].contains('*')))?;
        Ok(Expression {
            normalised: texts.join(" "),
            seconds: second.times(),
            minutes: minute.times(),
            hours: hour.times(),
            days,
            months: month.collapsed_if(true).restriction(),
            years: year.collapsed_if(true).restriction(),
        })
    }

    /// The spelling that PgQueuer stores: lower case, single spaces, macros expanded.
    pub(super) fn normalised(&self) -> &str {
        &self.normalised
    }

    pub(super) fn every_hour(&self) -> bool {
        self.hours.len() == 24
    }

    /// The first local time after this one, until the end of `last_year`. Times have no fractions
    /// of a second.
    pub(super) fn next(&self, after: DateTime, last_year: i16) -> Option<DateTime> {
        let from = after.checked_add(jiff::Span::new().seconds(1)).ok()?;
        let mut found = None;
        for rule in self.days.rules() {
            match self.next_by(from, last_year, |date| rule.has(date)) {
                Some(next) => found = Some(found.map_or(next, |found: DateTime| found.min(next))),
                None if self.days.all_must_come_true() => return None,
                None => {}
            }
        }
        found
    }

    fn next_by(&self, from: DateTime, last_year: i16, day: impl Fn(Date) -> bool) -> Option<DateTime> {
        let mut date = from.date();
        let mut floor = (from.hour(), from.minute(), from.second());
        while date.year() <= last_year {
            let month_ok = allows(self.months.as_ref(), date.month().into());
            if month_ok
                && allows(self.years.as_ref(), date.year().into())
                && day(date)
                && let Some((hour, minute, second)) = self.time_from(floor)
            {
                return Some(date.at(hour, minute, second, 0));
            }
            // Skip months that cannot match, rather than going through them day by day.
            date = if month_ok { date.tomorrow().ok()? } else { date.last_of_month().tomorrow().ok()? };
            floor = (0, 0, 0);
        }
        None
    }

    /// The first matching time of day that is not before this one.
    fn time_from(&self, (hour, minute, second): (i8, i8, i8)) -> Option<(i8, i8, i8)> {
        for &h in self.hours.iter().filter(|&&h| h >= hour) {
            for &m in self.minutes.iter().filter(|&&m| h > hour || m >= minute) {
                if let Some(&s) = self.seconds.iter().find(|&&s| (h, m) > (hour, minute) || s >= second) {
                    return Some((h, m, s));
                }
            }
        }
        None
    }
}

fn allows(values: Option<&BTreeSet<u32>>, value: i32) -> bool {
    values.is_none_or(|values| u32::try_from(value).is_ok_and(|value| values.contains(&value)))
}
