//! The kinds of fields: bounds, names, values.

/// Which field it is, in the order of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Minute,
    Hour,
    Day,
    Month,
    Weekday,
    Second,
    Year,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
pub(super) const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Kind {
    pub(super) const ALL: [Kind; 7] =
        [Kind::Minute, Kind::Hour, Kind::Day, Kind::Month, Kind::Weekday, Kind::Second, Kind::Year];

    pub(super) fn bounds(self) -> (u32, u32) {
        match self {
            Kind::Minute | Kind::Second => (0, 59),
            Kind::Hour => (0, 23),
            Kind::Day => (1, 31),
            Kind::Month => (1, 12),
            Kind::Weekday => (0, 6),
            Kind::Year => (1970, 2099),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Minute => "minute",
            Kind::Hour => "hour",
            Kind::Day => "day of the month",
            Kind::Month => "month",
            Kind::Weekday => "day of the week",
            Kind::Second => "second",
            Kind::Year => "year",
        }
    }

    /// A number or a name. The caller checks the bounds.
    pub(super) fn value(self, text: &str) -> Result<u32, String> {
        let named = match self {
            Kind::Month => MONTHS.iter().zip(1..).find(|(name, _)| **name == text).map(|(_, value)| value),
            Kind::Weekday => WEEKDAYS.iter().zip(0..).find(|(name, _)| **name == text).map(|(_, value)| value),
            _ => None,
        };
        match named.or_else(|| number(text)) {
            Some(7) if self == Kind::Weekday => Ok(0),
            Some(value) => Ok(value),
            None => Err(self.wrong(text)),
        }
    }

    pub(super) fn wrong(self, text: &str) -> String {
        let (low, high) = self.bounds();
        format!("has {text:?} for the {}; numbers are from {low} to {high}", self.name())
    }
}

/// Digits only. A number too large for the type saturates, and is then out of bounds for any field.
pub(super) fn number(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u32::MAX))
}
