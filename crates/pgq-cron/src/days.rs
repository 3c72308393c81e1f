//! The days on which an expression is due: the day of the month, the day of the week, and how the
//! two combine.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::field::{Field, Nth};

/// One or two rules. An expression is due on a day that any of them matches.
#[derive(Debug, Clone)]
pub(super) struct Days {
    rules: Vec<Rule>,
    all_must_come_true: bool,
}

/// A day matches if both halves match.
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
    /// The working day (Monday to Friday) nearest to this day, within the month.
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
    /// If both fields are restricted, a day that matches either is enough, as in every cron.
    /// croniter implements that by splitting the expression in two, with a star for the other field
    /// in each half, but keeps `#` and `W` in both halves. So does this, and then it must be
    /// possible for both halves to match.
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

/// In the month of `date`: Saturday moves to Friday and Sunday to Monday, unless that would be in
/// another month.
fn nearest_working_day(date: Date, day: i8) -> i8 {
    let last = date.days_in_month();
    let day = day.min(last);
    // `day` is in this month, so the difference between days is a difference between weekdays.
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
