//! CPU time of processes, from `/proc`. Unknown without it (macOS).

use std::fs;

/// The kernel's unit in `/proc`, which is the same on every architecture that we build for.
const TICKS: f64 = 100.0;

/// One process as the kernel describes it.
struct Stat {
    pid: u32,
    parent: u32,
    own: u64,
    /// The time of children that ended and were waited for.
    reaped: u64,
}

/// The CPU seconds of a process, of its children, and of children that ended.
pub(super) fn of_family(pid: u32) -> Option<f64> {
    let family = fs::read_dir("/proc").ok()?.filter_map(|entry| {
        let member: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        // It may have ended in the meantime.
        read(member).filter(|stat| stat.pid == pid || stat.parent == pid)
    });
    let (mut found, mut ticks) = (false, 0);
    for stat in family {
        found |= stat.pid == pid;
        ticks += stat.own + if stat.pid == pid { stat.reaped } else { 0 };
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of ticks")]
    found.then_some(ticks as f64 / TICKS)
}

fn read(pid: u32) -> Option<Stat> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name is in parentheses and may contain anything. Numbers follow it.
fn parse(pid: u32, text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let parent = u32::try_from(number(1)?).ok()?;
    Some(Stat { pid, parent, own: number(11)? + number(12)?, reaped: number(13)? + number(14)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_parentheses_and_spaces() {
        let text = "7 (a) b (c) S 3 7 7 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 5 0 0";
        let stat = parse(7, text).expect("read");
        assert_eq!((stat.parent, stat.own, stat.reaped), (3, 33, 77));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn we_are_found_and_nobody_is_not() {
        assert!(of_family(std::process::id()).is_some());
        assert!(of_family(u32::MAX).is_none());
    }
}
