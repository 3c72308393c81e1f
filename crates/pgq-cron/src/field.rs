//! One field of an expression.

use std::collections::BTreeSet;

use super::kind::{Kind, WEEKDAYS, number};

/// Which of a month's Mondays, Tuesdays, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nth {
    Number(i8),
    Last,
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    kind: Kind,
    pub(super) star: bool,
    pub(super) values: BTreeSet<u32>,
    /// `L`: the month's last day.
    pub(super) last: bool,
    /// `15W`: the working day nearest to a day of the month.
    pub(super) nearest: Option<i8>,
    /// `1#2`, `L5`: days of the week counted within the month.
    pub(super) nth: BTreeSet<(u32, Nth)>,
}

impl Field {
    /// What a missing field means: second 0, or any year.
    pub(super) fn absent(kind: Kind) -> Field {
        let values = if kind == Kind::Second { BTreeSet::from([0]) } else { BTreeSet::new() };
        Field { kind, star: kind != Kind::Second, values, last: false, nearest: None, nth: BTreeSet::new() }
    }

    /// Parse lower-case text without spaces.
    pub(super) fn parse(kind: Kind, text: &str) -> Result<Field, String> {
        refuse_hashed(text)?;
        let mut field =
            Field { kind, star: false, values: BTreeSet::new(), last: false, nearest: None, nth: BTreeSet::new() };
        if text.contains('?') {
            if text != "?" || !matches!(kind, Kind::Day | Kind::Weekday) {
                return Err(
                    "has a `?` where it is not allowed: it stands alone, for the day of the month or of the week"
                        .into(),
                );
            }
            field.star = true;
            return Ok(field);
        }
        if kind == Kind::Day
            && let Some(day) = nearest(text)
        {
            let day = day.filter(|day| (1..=31).contains(day)).ok_or_else(|| kind.wrong(text))?;
            field.nearest = i8::try_from(day).ok();
            field.values.insert(day);
            return Ok(field);
        }
        for item in text.split(',') {
            field.add(item)?;
        }
        Ok(field)
    }

    fn add(&mut self, item: &str) -> Result<(), String> {
        match item {
            "*" => self.star = true,
            "l" if self.kind == Kind::Day => self.last = true,
            _ if self.kind == Kind::Weekday && item.contains('#') => return self.add_nth(item),
            _ => match item.strip_prefix('l').filter(|_| self.kind == Kind::Weekday).and_then(number) {
                Some(day) => self.add_weekday(self.checked(self.kind.value(&day.to_string())?, item)?, Nth::Last),
                None => {
                    for value in self.expand(item)? {
                        self.values.insert(self.checked(value, item)?);
                    }
                }
            },
        }
        Ok(())
    }

    /// `1#2`, `mon#2`, `mon-fri#2`. As in croniter, ranges must use names.
    fn add_nth(&mut self, item: &str) -> Result<(), String> {
        let wrong = || {
            format!("has {item:?}; the n-th weekday of a month is written like 5#2 or fri#2, with a number from 1 to 5")
        };
        let (days, nth) = item.split_once('#').ok_or_else(wrong)?;
        let nth =
            number(nth).and_then(|nth| i8::try_from(nth).ok()).filter(|nth| (1..=5).contains(nth)).ok_or_else(wrong)?;
        let names_only = |(from, to): (&str, &str)| WEEKDAYS.contains(&from) && WEEKDAYS.contains(&to);
        if days.contains('/') || days.split_once('-').is_some_and(|range| !names_only(range)) {
            return Err(wrong());
        }
        for day in self.expand(days)? {
            self.add_weekday(self.checked(day, item)?, Nth::Number(nth));
        }
        Ok(())
    }

    fn add_weekday(&mut self, day: u32, nth: Nth) {
        self.values.insert(day);
        self.nth.insert((day, nth));
    }

    fn checked(&self, value: u32, item: &str) -> Result<u32, String> {
        let (low, high) = self.kind.bounds();
        if (low..=high).contains(&value) { Ok(value) } else { Err(self.kind.wrong(item)) }
    }

    /// A value or a range, either with a step.
    fn expand(&self, item: &str) -> Result<Vec<u32>, String> {
        let (min, max) = self.kind.bounds();
        let (span, step) = match item.split_once('/') {
            Some((span, step)) => {
                let step = number(step).filter(|step| *step > 0);
                (span, Some(step.ok_or_else(|| format!("has {item:?}; a step is a number above 0"))?))
            }
            None => (item, None),
        };
        let (low, high) = match (span, span.split_once('-'), step) {
            ("*", _, Some(_)) => (min, max),
            // In croniter, an L that ends a range means the 31st.
            (_, Some((low, "l")), _) if self.kind == Kind::Day => (self.kind.value(low)?, 31),
            (_, Some((low, high)), _) => (self.kind.value(low)?, self.kind.value(high)?),
            // From a value on, in steps. The last value of a field is a start like any other.
            (start, None, Some(step)) => {
                let start = self.checked(self.kind.value(start)?, item)?;
                return Ok((start..=max).step_by(index(step)).collect());
            }
            (value, None, None) => return Ok(vec![self.kind.value(value)?]),
        };
        if low.max(high) > max {
            return Err(self.kind.wrong(item));
        }
        let step = step.unwrap_or(1);
        Ok(match low.cmp(&high) {
            std::cmp::Ordering::Less => (low..=high).step_by(index(step)).collect(),
            // A range from a value to itself covers the whole field.
            std::cmp::Ordering::Equal => (min..=max).step_by(index(step)).collect(),
            std::cmp::Ordering::Greater => around(low, high, step, (min, max)),
        })
    }

    /// How many items it lists.
    pub(super) fn len(&self) -> usize {
        self.values.len() + usize::from(self.star) + usize::from(self.last)
    }

    /// The field as a star, if `allowed` and if it lists as many items as the field has values.
    /// croniter counts an `L` as one of them.
    pub(super) fn collapsed_if(mut self, allowed: bool) -> Field {
        let (min, max) = self.kind.bounds();
        if self.star || (allowed && self.len() == index(max - min + 1)) {
            // If a star is listed with other items, those are kept, because they count.
            let alone = !self.star || self.len() == index(max - min + 1) && allowed;
            self.star = true;
            if alone {
                self.values.clear();
                self.last = false;
            }
        }
        self
    }

    /// `None` means any.
    pub(super) fn restriction(self) -> Option<BTreeSet<u32>> {
        if self.star { None } else { Some(self.values) }
    }

    /// The values in order, for a field of the time of day.
    pub(super) fn times(self) -> Vec<i8> {
        let (min, max) = self.kind.bounds();
        let values: Vec<u32> = if self.star { (min..=max).collect() } else { self.values.into_iter().collect() };
        values.into_iter().filter_map(|value| i8::try_from(value).ok()).collect()
    }
}

/// A range past the end of its field, like `fri-mon`. The step continues past the end as in
/// croniter.
fn around(low: u32, high: u32, step: u32, (min, max): (u32, u32)) -> Vec<u32> {
    let mut values: Vec<u32> = (low..=max).step_by(index(step)).collect();
    let last = values.last().copied().unwrap_or(low);
    let left = max - last;
    let skipped = if step > left + 1 { step - left } else { 0 };
    values.extend((min.saturating_add(skipped)..=high).step_by(index(step)));
    values
}

/// Hashed and random values differ at each start, so no two workers would agree on the row.
fn refuse_hashed(text: &str) -> Result<(), String> {
    let hashed =
        |letter: char| text.strip_prefix(letter).is_some_and(|rest| rest.is_empty() || rest.starts_with(['(', '/']));
    match () {
        () if hashed('r') => Err(format!("has {text:?}: random values would differ between workers; write a value")),
        () if hashed('h') => Err(format!("has {text:?}: hashed values (`h`) are not supported; write a value")),
        () => Ok(()),
    }
}

/// The day of `15w` or `w15`. `Some(None)` if it is too large.
fn nearest(text: &str) -> Option<Option<u32>> {
    let digits = text.strip_suffix('w').or_else(|| text.strip_prefix('w'))?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())
}

fn index(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
