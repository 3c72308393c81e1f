//! Checks whether a host would serve every file in the plugins folder, with every grant that it
//! asks for.

use super::deployment::PluginsFolder;
use super::finding::Finding;
use crate::location::Location;
use crate::plugins::File;

pub(super) fn check(plugins: Option<&PluginsFolder>) -> Vec<Finding> {
    let Some(PluginsFolder { places, files, sections, .. }) = plugins else {
        let why = "a host needs one";
        return vec![Finding::note(
            "not checked: no folder of plugins is configured",
            why,
            "--plugins DIR, PGQ_HOST_PLUGINS, or [run] plugins",
        )];
    };
    let place = places.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let files = match files {
        Ok(files) => files,
        Err(error) => {
            return vec![Finding::error(
                error.as_str(),
                "a host does not start without it",
                format!("mkdir -p {place}"),
            )];
        }
    };
    let mut found = Vec::new();
    if files.is_empty() {
        let why = "a host serves nothing, and claims nothing";
        found.push(Finding::warning(format!("{place} has no *.wasm"), why, format!("cp PLUGIN.wasm {place}")));
    }
    files.iter().for_each(|file| found.extend(of(file)));
    let names: Vec<&str> =
        files.iter().filter_map(|file| file.serving.as_deref()).map(|plugin| &*plugin.name).collect();
    for section in sections.iter().filter(|section| !names.contains(&section.as_str())) {
        let why = "a plugin is granted what is under its own name, which `pgq-host plugin list` shows";
        found.push(Finding::note(
            format!("[plugins.{section}] matches no plugin in {place}"),
            why,
            "correct the name, or remove the section",
        ));
    }
    for place in places.iter().filter(|place| is_world_writable(place)) {
        let why = "anyone who can write there decides what hosts run";
        found.push(Finding::warning(format!("everybody may write to {place}"), why, format!("chmod o-w {place}")));
    }
    if found.is_empty() {
        let entrypoints: usize = files
            .iter()
            .filter_map(|file| file.serving.as_ref())
            .map(|plugin| plugin.declaration.entrypoints.len())
            .sum();
        found.push(Finding::ok(format!(
            "{} plugin(s) with {entrypoints} entrypoint(s) in {place}, all needs granted",
            names.len()
        )));
    }
    found
}

fn of(file: &File) -> Vec<Finding> {
    let name = file.path.file_name().unwrap_or_default().to_string_lossy();
    let mut found = Vec::new();
    if let Some(fault) = &file.fault {
        let remedy = format!("pgq-host plugin inspect {}", file.path.display());
        found.push(Finding::error(format!("{name} is refused: {fault}"), "its entrypoints are not served", remedy));
    }
    if let Some(plugin) = &file.serving {
        for need in plugin.declaration.needs.iter().filter(|need| !plugin.grants.meet(need)) {
            let what = format!("{} needs {} {:?}, which is not granted", plugin.name, need.kind.label(), need.what);
            let remedy = format!("[plugins.{}] {} in pgq-host.toml", plugin.name, need.line());
            found.push(Finding::warning(what, "its jobs fail when they use it", remedy));
        }
    }
    found
}

/// What is pulled from a registry is in a folder that is private.
fn is_world_writable(place: &Location) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let Location::Folder(folder) = place else { return false };
    std::fs::metadata(folder).is_ok_and(|folder| folder.permissions().mode() & 0o002 != 0)
}
