//! Which days: the day of the month and the day of the week, and how the two go together.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::field::{Field, Nth};

/// One or two rules: a day is meant that either of them has.
#[derive(Debug, Clone)]
pub(super) struct Days {
    rules: Vec<Rule>,
    all_must_come_true: bool,
}

/// A day is meant that both halves have.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    month: MonthDay,
    week: WeekDay,
}

#[derive(Debug, Clone)]
enum MonthDay {
    Any,
    Of {
        days: BTreeSet<u32>,
        last: bool,
    },
    /// The Monday to Friday nearest to this day, within the month.
    Nearest(i8),
}

#[derive(Debug, Clone)]
enum WeekDay {
    Any,
    /// 0 is Sunday.
    Of(BTreeSet<u32>),
    Nth(BTreeSet<(u32, Nth)>),
}

impl Days {
    /// When both fields are restricted a day of either will do, as in every cron. croniter splits
    /// the expression in two for that, with the other field's star in each half, but `#` and `W`
    /// stay in both halves. So do they here, and then both halves must be able to come true.
    pub(super) fn new(day: Field, weekday: Field) -> Result<Days, String> {
        let plain: Vec<u32> =
            weekday.values.iter().copied().filter(|value| !weekday.nth.iter().any(|(of, _)| of == value)).collect();
        if !weekday.nth.is_empty() && !plain.is_empty() && weekday.len() != 7 {
            return Err("mixes plain days of the week with `#` or `L` ones; write two schedules".into());
        }
        let all_must_come_true = !weekday.nth.is_empty() || day.nearest.is_some();
        let split = !day.star && !weekday.star;
        let month_any = day.nearest.map_or(MonthDay::Any, MonthDay::Nearest);
        let week_any = if weekday.nth.is_empty() { WeekDay::Any } else { WeekDay::Nth(weekday.nth.clone()) };
        let month = match day.nearest {
            Some(nearest) => MonthDay::Nearest(nearest),
            None if day.star => MonthDay::Any,
            None => MonthDay::Of { days: day.values, last: day.last },
        };
        let week = match week_any.clone() {
            WeekDay::Any if !weekday.star => WeekDay::Of(weekday.values),
            week => week,
        };
        let rules = if split {
            vec![Rule { month, week: week_any }, Rule { month: month_any, week }]
        } else {
            vec![Rule { month, week }]
        };
        Ok(Days { rules, all_must_come_true })
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn all_must_come_true(&self) -> bool {
        self.all_must_come_true
    }
}

impl Rule {
    pub(super) fn has(&self, date: Date) -> bool {
        self.month.has(date) && self.week.has(date)
    }
}

impl MonthDay {
    fn has(&self, date: Date) -> bool {
        match self {
            MonthDay::Any => true,
            MonthDay::Of { days, last } => {
                days.contains(&number(date.day())) || (*last && date.day() == date.days_in_month())
            }
            MonthDay::Nearest(day) => date.day() == nearest_working_day(date, *day),
        }
    }
}

impl WeekDay {
    fn has(&self, date: Date) -> bool {
        let weekday = number(date.weekday().to_sunday_zero_offset());
        match self {
            WeekDay::Any => true,
            WeekDay::Of(days) => days.contains(&weekday),
            WeekDay::Nth(days) => days.iter().any(|(of, nth)| {
                *of == weekday
                    && match nth {
                        Nth::Last => date.day() + 7 > date.days_in_month(),
                        Nth::Number(nth) => (date.day() - 1) / 7 + 1 == *nth,
                    }
            }),
        }
    }
}

/// In the month of `date`: Saturday goes to Friday and Sunday to Monday, unless that would be
/// another month.
fn nearest_working_day(date: Date, day: i8) -> i8 {
    let last = date.days_in_month();
    let day = day.min(last);
    // `day` is a day of this month, so the difference counts weekdays.
    let weekday = (date.weekday().to_sunday_zero_offset() + day - date.day()).rem_euclid(7);
    match weekday {
        6 if day > 1 => day - 1,
        6 => day + 2,
        0 if day < last => day + 1,
        0 => day - 2,
        _ => day,
    }
}

fn number(value: i8) -> u32 {
    u32::try_from(value).unwrap_or_default()
}
