//! Plugins over the whole fleet: their versions, which host serves which, what was found out about
//! them, and how their runs go.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::Row as _;

use super::fleet::{FleetHost, ServedFile};
use super::runs::RunTimes;
use super::signer_look::SignerLook;
use super::statements;
use super::version_report::VersionReport;
use crate::Operator;
use crate::text::{optional_text, text};

const WITHIN: Duration = Duration::from_secs(5);
const MOST_VERSIONS: i64 = 1_000;
const MOST_VERDICTS: i64 = 1_000;

/// A plugin.
#[derive(Debug, Clone, Default, Serialize, utoipa::ToSchema)]
pub struct PluginLook {
    pub name: String,
    /// Of the versions that are served now.
    pub entrypoints: Vec<String>,
    /// Those that are served first, and then the one that came last first.
    pub versions: Vec<VersionLook>,
    /// Entrypoints whose circuit breaker is open on a host.
    pub paused: Vec<String>,
    /// Entrypoints that an operator paused.
    pub held: Vec<String>,
}

/// A version of a plugin.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct VersionLook {
    pub version: String,
    pub sha256: String,
    /// When a host announced it first; `None`: it never ran a job.
    pub first_served: Option<DateTime<Utc>>,
    /// The keys that signed it, as hosts found: by none where no host looked for a signature or found one.
    pub signed_by: Vec<SignerLook>,
    /// Hosts that serve it, as machine and process.
    pub stable_on: Vec<String>,
    /// Hosts where it is on trial.
    pub canary_on: Vec<String>,
    /// What hosts found out about it, the latest first.
    pub judgements: Vec<JudgementLook>,
    /// Some of its latest runs.
    pub runs: Option<RunTimes>,
    /// What it may do, what it was denied and which limits it hit, as the hosts that serve it said last.
    pub report: Option<VersionReport>,
    /// Why hosts do not serve it, where it is the file's content.
    pub errors: Vec<RefusedFile>,
}

impl VersionLook {
    /// Whether an operator took it out of service.
    pub fn is_quarantined(&self) -> bool {
        self.judgements.iter().any(|judgement| judgement.verdict == "quarantined")
    }
}

/// A verdict on a version, or on one entrypoint of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct JudgementLook {
    /// `good`, `refused`, `rolled_back`, `quarantined`, or `paused` for one entrypoint.
    pub verdict: String,
    pub entrypoint: Option<String>,
    pub reason: String,
    /// Who found it out; the operator who quarantined it.
    pub host: String,
    pub judged: DateTime<Utc>,
    /// When a pause ends.
    pub until: Option<DateTime<Utc>>,
}

/// A file that a host does not serve as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct RefusedFile {
    pub file: String,
    /// What is served in its place.
    pub plugin: Option<String>,
    pub version: Option<String>,
    /// Digest of the file, if it could be read.
    pub sha256: Option<String>,
    pub error: String,
    /// As machine and process.
    pub hosts: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize, utoipa::ToSchema)]
pub struct Plugins {
    /// By name.
    pub plugins: Vec<PluginLook>,
    pub refused: Vec<RefusedFile>,
    /// Whether there are more versions than were looked at.
    pub cut: bool,
}

impl Plugins {
    /// The version with this digest.
    pub fn find(&self, sha256: &str) -> Option<(&PluginLook, &VersionLook)> {
        let versions = self.plugins.iter().flat_map(|plugin| plugin.versions.iter().map(move |one| (plugin, one)));
        versions.into_iter().find(|(_, version)| version.sha256 == sha256)
    }
}

/// Versions as they are found in three places.
#[derive(Debug, Default)]
struct Found {
    plugins: BTreeMap<String, PluginLook>,
    refused: Vec<RefusedFile>,
}

impl Found {
    fn version(&mut self, plugin: &str, version: &str, sha256: &str) -> &mut VersionLook {
        let look = self.plugins.entry(plugin.to_owned()).or_default();
        look.name = plugin.to_owned();
        let place = look.versions.iter().position(|known| known.sha256 == sha256).unwrap_or_else(|| {
            look.versions.push(VersionLook {
                version: version.to_owned(),
                sha256: sha256.to_owned(),
                first_served: None,
                signed_by: Vec::new(),
                stable_on: Vec::new(),
                canary_on: Vec::new(),
                judgements: Vec::new(),
                runs: None,
                report: None,
                errors: Vec::new(),
            });
            look.versions.len() - 1
        });
        &mut look.versions[place]
    }

    fn served(&mut self, host: &FleetHost, file: &ServedFile) {
        let label = host.label();
        if let (Some(plugin), Some(version), Some(sha256)) = (&file.plugin, &file.version, &file.sha256) {
            self.version(plugin, version, sha256).stable_on.push(label.clone());
            if let Some(canary) = &file.canary {
                self.version(plugin, &canary.version, &canary.sha256).canary_on.push(label.clone());
            }
            for report in &file.versions {
                let look = self.version(plugin, &report.version, &report.sha256);
                match &mut look.report {
                    Some(known) => known.add(report),
                    None => look.report = Some(report.clone()),
                }
            }
            if let Some(look) = self.plugins.get_mut(plugin) {
                add_all(&mut look.entrypoints, &file.entrypoints);
                add_all(&mut look.paused, &file.paused);
                add_all(&mut look.held, &file.held);
            }
        }
        let Some(error) = &file.error else { return };
        let name = file.file.clone().unwrap_or_default();
        let known = self.refused.iter_mut().find(|known| known.file == name && known.error == *error);
        match known {
            Some(known) => known.hosts.push(label),
            None => self.refused.push(RefusedFile {
                file: name,
                plugin: file.plugin.clone(),
                version: file.version.clone(),
                sha256: file.file_sha256.clone(),
                error: error.clone(),
                hosts: vec![label],
            }),
        }
    }
}

fn add_all(names: &mut Vec<String>, more: &[String]) {
    names.extend(more.iter().cloned());
    names.sort();
    names.dedup();
}

impl Operator {
    /// What is known of plugins, of any host.
    pub async fn plugins(&self) -> sqlx::Result<Plugins> {
        let (features, mut found) = (self.features().await?, Found::default());
        let mut runs = self.recent_runs().await?;
        let mut cut = false;
        if features.hosts {
            let versions = sqlx::query(self.sql_with(statements::PLUGIN_VERSIONS, features))
                .persistent(false)
                .bind(MOST_VERSIONS + 1);
            let rows =
                self.read(WITHIN, |transaction| Box::pin(async move { versions.fetch_all(transaction).await })).await?;
            cut = i64::try_from(rows.len()).is_ok_and(|rows| rows > MOST_VERSIONS);
            for row in &rows {
                let version = found.version(&text(row, "name")?, &text(row, "version")?, &text(row, "sha256")?);
                version.first_served = row.try_get("first_served")?;
                version.signed_by = SignerLook::all(optional_text(row, "signed_by")?.as_deref());
                version.runs = runs.by_version.remove(&row.try_get("key")?);
            }
        }
        for host in &self.fleet().await?.hosts {
            host.plugins.iter().for_each(|file| found.served(host, file));
        }
        if features.verdicts {
            let verdicts = sqlx::query(self.sql(statements::JUDGEMENTS)).persistent(false).bind(MOST_VERDICTS);
            let rows =
                self.read(WITHIN, |transaction| Box::pin(async move { verdicts.fetch_all(transaction).await })).await?;
            for row in &rows {
                let version = optional_text(row, "version")?.unwrap_or_default();
                let look = found.version(&text(row, "name")?, &version, &text(row, "sha256")?);
                look.judgements.push(JudgementLook {
                    verdict: text(row, "verdict")?,
                    entrypoint: optional_text(row, "entrypoint")?,
                    reason: text(row, "reason")?,
                    host: text(row, "host")?,
                    judged: row.try_get("judged")?,
                    until: row.try_get("until")?,
                });
            }
        }
        let mut plugins: Vec<PluginLook> = found.plugins.into_values().collect();
        for plugin in &mut plugins {
            for version in &mut plugin.versions {
                let is_it = |file: &&RefusedFile| file.sha256.as_deref() == Some(version.sha256.as_str());
                version.errors = found.refused.iter().filter(is_it).cloned().collect();
            }
            plugin.versions.sort_by_key(|version| {
                let unserved = version.stable_on.is_empty() && version.canary_on.is_empty();
                (unserved, std::cmp::Reverse(version.first_served))
            });
        }
        Ok(Plugins { plugins, refused: found.refused, cut })
    }
}
