//! Durations and sizes as people write them.

use std::time::Duration;

/// Parse a duration: seconds with a fraction, as for PgQueuer's flags, or with units, like `90s`,
/// `15m`, `2h 30m`.
///
/// # Errors
///
/// Returns a message that says what is accepted.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write seconds like 30 or 0.5, or a unit like 90s, 15m, 2h");
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| wrong()),
        Err(_) => humantime::parse_duration(text).map_err(|_| wrong()),
    }
}

/// Parse a size: bytes, or with a binary unit like `64MiB`, `1GiB`, `512K`.
///
/// # Errors
///
/// Returns a message that says what is accepted.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(0),
        "k" | "kib" => Some(10),
        "m" | "mib" => Some(20),
        "g" | "gib" => Some(30),
        _ => None,
    };
    let bytes =
        text[..digits].parse::<u64>().ok().zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| format!("{text:?} is not a size; write bytes like 67108864, or a unit like 64MiB, 1GiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        assert_eq!(
            (parse_bytes("4096"), parse_bytes("64MiB"), parse_bytes("2 g")),
            (Ok(4096), Ok(64 << 20), Ok(2 << 30))
        );
        for bad in ["-1", "1.5M", "MiB", "", "99999999999G", "1 pint"] {
            assert!(parse_bytes(bad).expect_err("refused").contains(bad));
        }
    }

    #[test]
    fn times_are_seconds_or_have_a_unit() {
        assert_eq!(parse_duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("15m"), Ok(Duration::from_secs(900)));
        for bad in ["-1", "inf", "nan", "soon", ""] {
            assert!(parse_duration(bad).expect_err("refused").contains(bad));
        }
    }
}
