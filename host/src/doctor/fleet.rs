//! Checks whether the hosts that announced themselves run the same version and serve the same
//! plugins.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::finding::{CheckResult, Finding};
use super::target::Target;
use crate::announce;
use pgq_queue::HostRow;

/// All hosts, and those of them that announced themselves lately.
pub(super) async fn hosts(target: &Target<'_>) -> sqlx::Result<(Vec<HostRow>, Vec<HostRow>)> {
    let all = target.operator().hosts().await?;
    // Announcements carry the server's time.
    let now: DateTime<Utc> = sqlx::query_scalar("SELECT now()").fetch_one(&mut *target.read_only().await?).await?;
    // More than twice the longest pause between two announcements.
    let recent = |host: &&HostRow| {
        (now - host.seen).to_std().is_ok_and(|silent| silent < announce::PERIOD.mul_f64(2.5)) || host.seen > now
    };
    let alive = all.iter().filter(recent).cloned().collect();
    Ok((all, alive))
}

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let (all, alive) = hosts(target).await?;
    let mut found = Vec::new();
    for host in all.iter().filter(|host| !alive.iter().any(|one| one.id == host.id)) {
        let why =
            "it was killed, or can no longer reach the database; other hosts run its jobs after the heartbeat timeout";
        let what = format!("{} was last heard of at {}", name(host), host.seen.format("%Y-%m-%d %H:%M:%SZ"));
        found.push(Finding::note(what, why, "none, if it was meant to stop: its announcement is deleted after a day"));
    }
    found.extend(versions(&alive));
    found.extend(plugins(&alive, &target.command("plugin list --hosts")));
    found.extend(alive.iter().flat_map(|host| files(host).iter().filter_map(|file| file_findings(target, host, file))));
    if found.is_empty() {
        found.push(Finding::ok(match alive.as_slice() {
            [] => "no host has announced itself on this queue".to_owned(),
            [first, rest @ ..] => format!("{} of version {}, all with the same plugins", rest.len() + 1, first.version),
        }));
    }
    Ok(found)
}

fn name(host: &HostRow) -> String {
    format!("host {}:{}", host.name, host.pid)
}

fn files(host: &HostRow) -> &[Value] {
    host.plugins.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn versions(alive: &[HostRow]) -> Option<Finding> {
    let mut versions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    alive.iter().for_each(|host| versions.entry(&host.version).or_default().push(name(host)));
    let told: Vec<String> =
        versions.iter().map(|(version, hosts)| format!("{version} ({})", hosts.join(", "))).collect();
    let why = "expected while a fleet is being upgraded (migrations/README.md, expand and contract); if it lasts, an upgrade was left unfinished";
    (versions.len() > 1)
        .then(|| Finding::warning(format!("hosts run several versions: {}", told.join("; ")), why, "upgrade the rest"))
}

/// Each plugin with its versions, and with the hosts that lack it.
fn plugins(alive: &[HostRow], list: &str) -> Vec<Finding> {
    let mut served: BTreeMap<&str, BTreeMap<&str, Vec<String>>> = BTreeMap::new();
    for host in alive {
        for file in files(host) {
            if let (Some(plugin), Some(sha256)) = (file["plugin"].as_str(), file["sha256"].as_str()) {
                served.entry(plugin).or_default().entry(sha256).or_default().push(name(host));
            }
        }
    }
    let mut found = Vec::new();
    for (plugin, versions) in served {
        let having: BTreeSet<&String> = versions.values().flatten().collect();
        let lacking: Vec<String> = alive.iter().map(name).filter(|host| !having.contains(host)).collect();
        if versions.len() > 1 {
            let told: Vec<String> = versions
                .iter()
                .map(|(sha256, hosts)| format!("{} on {}", sha256.get(..12).unwrap_or(sha256), hosts.join(", ")))
                .collect();
            let why = "which code runs a job depends on the host that claims it";
            let remedy = format!("put the same files into all folders; {list} shows which host has what");
            found.push(Finding::warning(
                format!("several versions of the plugin {plugin:?}: {}", told.join("; ")),
                why,
                remedy,
            ));
        }
        if !lacking.is_empty() {
            let why = "only some hosts run its jobs; unless intended, there is less capacity than it seems";
            let remedy = format!("put the same files into all folders; {list} shows which host has what");
            found.push(Finding::warning(
                format!("the plugin {plugin:?} is not on {}", lacking.join(", ")),
                why,
                remedy,
            ));
        }
    }
    found
}

fn file_findings(target: &Target<'_>, host: &HostRow, file: &Value) -> Option<Finding> {
    let (host, file_name) = (name(host), file["file"].as_str().unwrap_or("?"));
    let paused: Vec<&str> = file["paused"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match (file["error"].as_str(), paused.as_slice()) {
        (Some(error), _) => {
            let why = if file["plugin"].is_string() {
                "the previous version is served instead"
            } else {
                "its entrypoints are not served"
            };
            Some(Finding::warning(format!("{host} refuses {file_name}: {error}"), why, "replace the file"))
        }
        (None, [_, ..]) => {
            let why = "its runs crash; jobs wait until it is tried again";
            let remedy = target.command(&format!("plugin reset {}", file["plugin"].as_str().unwrap_or(paused[0])));
            Some(Finding::warning(format!("{host} pauses {}", paused.join(", ")), why, remedy))
        }
        (None, []) => None,
    }
}
