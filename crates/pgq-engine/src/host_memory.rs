//! How much memory this process may use: the limit of its container, or else the machine's memory.

use std::fs;
use std::path::{Path, PathBuf};

/// Assumed if no limit can be read.
const ASSUMED: u64 = 2 << 30;

/// The memory limit of this process in bytes: the smallest limit of its control groups (v2 or v1),
/// or the machine's memory.
pub fn limit() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_total(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups)
        .into_iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .filter_map(|text| parse_limit(&text));
    limits.chain(machine).min().unwrap_or(ASSUMED)
}

/// The files that may hold a limit for a process in these control groups (`/proc/self/cgroup`):
/// those of each group and of its parents.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let mut files = Vec::new();
    for line in groups.lines() {
        // `hierarchy:controllers:/path`; version 2 has no controllers.
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let (base, name) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // Inside a container, the path may be the machine's, and only the root of the mount is
        // ours.
        let groups = Path::new(path.trim_start_matches('/')).ancestors();
        files.extend(groups.map(|group| base.join(group).join(name)));
    }
    files
}

/// A limit in bytes. `max` means none.
fn parse_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit > 0)
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_looked_for_in_every_group_up_to_the_root() {
        let files = limit_files("0::/system.slice/host.service\n");
        let wanted = ["system.slice/host.service/memory.max", "system.slice/memory.max", "memory.max"];
        assert_eq!(files, wanted.map(|file| Path::new("/sys/fs/cgroup").join(file)));
        let files = limit_files("9:cpu,cpuacct:/a\n4:memory:/docker/1\n");
        assert_eq!(files[0], Path::new("/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes"));
        assert_eq!(files.len(), 3);
    }

    #[test]
    fn no_limit_is_the_machines_memory() {
        assert_eq!(parse_limit("max\n"), None);
        assert_eq!(parse_limit("536870912\n"), Some(512 << 20));
        assert_eq!(mem_total("MemTotal:       24689604 kB\nMemFree: 1 kB\n"), Some(24_689_604 << 10));
        assert!(limit() > 0);
    }
}
