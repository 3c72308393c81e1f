//! How many schedules a plugin may have if its operator sets no limit.

use chrono::{DateTime, TimeDelta};

use super::declaration::Declaration;
use super::grants::Grants;
use super::load_error::LoadError;
use pgq_cron::Schedule;

/// The default limit on schedules of a plugin, over all its entrypoints.
const DEFAULT: usize = 100;
/// The default limit on schedules that are due more often than once a minute.
const DEFAULT_FREQUENT: usize = 10;
/// If a schedule is ever due twice within a minute, two of this many consecutive ticks are that
/// close.
const TICKS_COMPARED: usize = 4;

/// Schedules cost the database time, whoever runs their jobs, so an operator decides about large
/// numbers of them.
pub(super) fn check(plugin: &str, declaration: &Declaration, grants: &Grants) -> Result<(), LoadError> {
    let (all, often) = count(declaration);
    let over = |found: usize, default: usize, often: &'static str| {
        let most = grants.schedules.unwrap_or(default);
        (found > most).then(|| LoadError::Schedules { plugin: plugin.to_owned(), found, often, most })
    };
    let mistake = over(all, DEFAULT, "").or_else(|| over(often, DEFAULT_FREQUENT, " of more than once a minute"));
    mistake.map_or(Ok(()), Err)
}

/// The number of all schedules, and of those that are due more often than once a minute.
fn count(declaration: &Declaration) -> (usize, usize) {
    let schedules = || declaration.entrypoints.values().flat_map(|options| &options.schedules);
    let often = |key: &&String| Schedule::from_key(key).is_ok_and(|schedule| is_frequent(&schedule));
    (schedules().count(), schedules().filter(often).count())
}

/// Whether two of its first ticks are less than a minute apart. They are counted from a fixed time,
/// so that all hosts agree.
fn is_frequent(schedule: &Schedule) -> bool {
    let mut last = DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default();
    (0..TICKS_COMPARED).any(|tick| match schedule.next_after(last) {
        Some(next) => {
            let close = tick > 0 && next - last < TimeDelta::minutes(1);
            last = next;
            close
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_more_than_once_a_minute_is_told_from_the_rest() {
        let frequent = |expression: &str| is_frequent(&Schedule::new(expression, "UTC").expect("valid"));
        for expression in ["* * * * * *", "0 9 * * * */20", "* * * * * 10,50", "* * 25 12 * *"] {
            assert!(frequent(expression), "{expression}");
        }
        for expression in ["* * * * *", "*/5 * * * *", "0 9 * * mon", "@hourly", "* * * * * 30"] {
            assert!(!frequent(expression), "{expression}");
        }
    }
}
