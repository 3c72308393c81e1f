//! Where a job runs, by when it has to end, and in which version: from what its host announced.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::HostRow;

/// The hosts of the fleet, to look jobs up in.
#[derive(Debug, Default)]
pub(super) struct Whereabouts(pub(super) Vec<HostRow>);

impl Whereabouts {
    fn host(&self, worker: Uuid) -> Option<&HostRow> {
        self.0.iter().find(|host| host.id == worker)
    }

    /// Its machine and process.
    pub(super) fn name(&self, worker: Uuid) -> Option<String> {
        self.host(worker).map(HostRow::label)
    }

    /// By when a run ends that began with its claim. A host that claims ahead begins it later.
    pub(super) fn deadline(&self, worker: Uuid, entrypoint: &str, claimed: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let timeout = file_of(self.host(worker)?, entrypoint)?["timeouts"][entrypoint].as_i64()?;
        claimed.checked_add_signed(TimeDelta::try_milliseconds(timeout)?)
    }

    /// The version that it runs in there, unless a canary has it.
    pub(super) fn sha256(&self, worker: Uuid, entrypoint: &str) -> Option<String> {
        Some(file_of(self.host(worker)?, entrypoint)?["sha256"].as_str()?.to_owned())
    }

    /// The workers and their entrypoints that run in a version whose sha256 begins so.
    pub(super) fn running(&self, sha256: &str) -> (Vec<Uuid>, Vec<String>) {
        let files = self.0.iter().flat_map(|host| files(host).iter().map(move |file| (host.id, file)));
        let is_it = |file: &Value| {
            let digests = [&file["sha256"], &file["canary"]["sha256"]];
            digests.iter().any(|digest| digest.as_str().is_some_and(|digest| digest.starts_with(sha256)))
        };
        let names = |(id, file): (Uuid, &Value)| entrypoints(file).map(move |name| (id, name.to_owned())).collect();
        files.filter(|(_, file)| is_it(file)).flat_map::<Vec<_>, _>(names).unzip()
    }
}

fn files(host: &HostRow) -> &[Value] {
    host.plugins.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn entrypoints(file: &Value) -> impl Iterator<Item = &str> {
    file["entrypoints"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn file_of<'h>(host: &'h HostRow, entrypoint: &str) -> Option<&'h Value> {
    files(host).iter().find(|file| entrypoints(file).any(|name| name == entrypoint))
}
