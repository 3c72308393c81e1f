//! Durations as PgQueuer's tools take them: ISO 8601, days to seconds.

use std::time::Duration;

use crate::wrong::Wrong;

/// `P7D`, `PT1H`, `P1DT12H30M`.
pub(crate) fn period(name: &str, text: &str) -> Result<Duration, Wrong> {
    let wrong = || {
        Wrong::Asked(format!("{name}: cannot parse the duration {text:?}; write one of ISO 8601, like 'PT1H' or 'P7D'"))
    };
    let upper = text.trim().to_ascii_uppercase();
    let rest = upper.strip_prefix('P').ok_or_else(wrong)?;
    let (days, time) = match rest.split_once('T') {
        Some((days, time)) => (days, time),
        None => (rest, ""),
    };
    let mut seconds = 0_u64;
    for (mut part, units) in [(days, &[('D', 86_400)][..]), (time, &[('H', 3_600), ('M', 60), ('S', 1)])] {
        for (unit, worth) in units {
            let Some((digits, after)) = part.split_once(*unit) else { continue };
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.parse::<u64>().ok().filter(|_| plain).and_then(|number| number.checked_mul(*worth));
            seconds = number.and_then(|number| seconds.checked_add(number)).ok_or_else(wrong)?;
            part = after;
        }
        if !part.is_empty() {
            return Err(wrong());
        }
    }
    match seconds {
        0 => Err(Wrong::Asked(format!("{name}: the duration must be positive, and is {text:?}"))),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_one_of_iso_8601() {
        let of = |text| period("period", text).map(|time| time.as_secs()).map_err(|wrong| wrong.to_string());
        assert_eq!((of("PT1H"), of("P7D"), of(" p1dt12h30m5s ")), (Ok(3_600), Ok(604_800), Ok(131_405)));
        for bad in ["1h", "P", "PT", "PT0S", "P1H", "PT1D", "PT-1H", "PT1M1H", "P99999999999999999D", "PT1HX", "P+1D"] {
            assert!(of(bad).expect_err(bad).contains(bad), "{bad}");
        }
    }
}
