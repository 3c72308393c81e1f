//! Times, sizes and numbers for people.

use chrono::{DateTime, TimeDelta, Utc};

/// The two largest units of a time.
pub fn span(seconds: f64) -> String {
    let ms = seconds * 1e3;
    if ms < 1.0 {
        return if ms <= 0.0 { "0 s".into() } else { format!("{:.0} \u{b5}s", ms * 1e3) };
    }
    if ms < 999.5 {
        return if ms < 9.95 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") };
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    #[expect(clippy::cast_possible_truncation, reason = "a number of seconds that people wait")]
    let whole = seconds.round() as i64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, _) => format!("{minutes} min {} s", whole % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// So many microseconds.
pub fn micros(micros: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a time for people")]
    let seconds = micros as f64 / 1e6;
    span(seconds)
}

/// How far away it is.
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match now - at {
        far if far > TimeDelta::milliseconds(999) => format!("{} ago", rough(far)),
        far if far < TimeDelta::milliseconds(-999) => format!("in {}", rough(-far)),
        _ => "now".into(),
    }
}

/// The largest unit alone: enough for a list.
pub fn rough(delta: TimeDelta) -> String {
    let seconds = delta.num_seconds();
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A size.
pub fn bytes(bytes: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    let size = bytes as f64;
    match bytes {
        ..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", size / 1_024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", size / 1_048_576.0),
        _ => format!("{:.1} GiB", size / 1_073_741_824.0),
    }
}

/// With a separator for each thousand.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('\u{2212}');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of these.
pub fn many(number: usize, one: &str) -> String {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A share.
pub fn percent(part: f64, whole: f64) -> String {
    let share = if whole > 0.0 { part / whole * 100.0 } else { 0.0 };
    match share {
        0.0 => "0 %".into(),
        share if share < 0.1 => "<0.1 %".into(),
        share if share < 9.95 => format!("{share:.1} %"),
        share => format!("{share:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact_enough() {
        for (seconds, text) in [
            (0.0, "0 s"),
            (0.000_082, "82 µs"),
            (0.004_2, "4.2 ms"),
            (0.25, "250 ms"),
            (3.12, "3.1 s"),
            (59.0, "59 s"),
            (61.0, "1 min 1 s"),
            (7_260.0, "2 h 1 min"),
            (200_000.0, "2 d 7 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
        assert_eq!([count(0), count(999), count(1_000), count(-1_234_567)], ["0", "999", "1,000", "\u{2212}1,234,567"]);
        assert_eq!([bytes(1_023), bytes(1_536), bytes(10 << 20)], ["1023 B", "1.5 KiB", "10.0 MiB"]);
        assert_eq!([percent(0.0, 0.0), percent(1.0, 3.0), percent(1.0, 5_000.0)], ["0 %", "33 %", "<0.1 %"]);
        assert_eq!([many(1, "job"), many(2_000, "job")], ["1 job", "2,000 jobs"]);
    }
}
