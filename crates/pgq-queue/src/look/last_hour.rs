//! Which minutes of the last hour a look has to read.

pub(super) const MINUTES: i64 = 60;

/// The first minute that is to be read: of those of the last hour, the ones after the last that was
/// read, and `open` before it, which may not have been complete.
pub(super) fn unread(now: i64, last: Option<i64>, open: i64) -> i64 {
    let first = now - MINUTES + 1;
    last.map_or(first, |last| (last - open).max(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_not_read_again() {
        assert_eq!(unread(1_000, None, 6), 941);
        assert_eq!(unread(1_000, Some(1_000), 6), 994);
        assert_eq!(unread(1_000, Some(900), 6), 941, "a long time ago");
    }
}
