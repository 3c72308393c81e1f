//! `[plugins.NAME]`: what an operator grants to a plugin.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::PathBuf;

use http::Method;
use serde::Deserialize;

use super::canary::CanarySection;
use super::entrypoint::EntrypointSection;
use super::sql::SqlSection;
use super::trust;
use super::value::{SecretSection, ValueSection};
use crate::plugins::{Canary, Chosen, ClaimMode, KeepLines};
use crate::sealing::{Seal, SealRules};
use pgq_engine::{Authorities, Grants, HttpGrant, Origin, Secret, SecretGrant};
use pgq_queue::HistoryLevel;
use pgq_trust::Trust;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct PluginSection {
    canary: Option<CanarySection>,
    sha256: Option<Digests>,
    signer: Option<String>,
    http: Vec<HttpSection>,
    private_networks: Vec<String>,
    ca_file: Option<PathBuf>,
    enqueue: BTreeSet<String>,
    config: BTreeMap<String, ValueSection>,
    env: BTreeMap<String, ValueSection>,
    secrets: BTreeMap<String, SecretSection>,
    directories: BTreeMap<String, PathBuf>,
    sql: Option<SqlSection>,
    max_schedules: Option<usize>,
    claim: Option<ClaimMode>,
    history: Option<HistoryLevel>,
    logs: Option<KeepLines>,
    require_sealed: Option<bool>,
    seal: Option<Seal>,
    entrypoints: BTreeMap<String, EntrypointSection>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "not a digest; write sha256 = \"64 hex digits\", or a list of digests")]
enum Digests {
    One(String),
    Some(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "not a grant; write \"https://host\" or { origin = \"https://host\", methods = [\"GET\"] }"
)]
enum HttpSection {
    Origin(String),
    With(HttpTable),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpTable {
    origin: String,
    methods: Vec<String>,
}

/// Collects the mistakes in one plugin's section.
pub(super) struct Mistakes<'a> {
    plugin: &'a str,
    all: &'a mut Vec<String>,
}

impl Mistakes<'_> {
    fn say(&mut self, key: &str, mistake: impl Display) {
        self.all.push(format!("plugins.{}.{key}: {mistake}", self.plugin));
    }

    /// The value, or `None` after recording the mistake.
    fn take<T>(&mut self, key: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|mistake| self.say(key, mistake)).ok()
    }
}

impl PluginSection {
    /// Add what it says of how jobs are claimed, what is kept of them, and what is sealed.
    pub(super) fn choices(
        &self,
        plugin: &str,
        claims: &mut Chosen<ClaimMode>,
        history: &mut Chosen<HistoryLevel>,
        keeps: &mut Chosen<KeepLines>,
        seals: &mut SealRules,
    ) {
        claims.plugins.extend(self.claim.map(|mode| (plugin.to_owned(), mode)));
        history.plugins.extend(self.history.map(|level| (plugin.to_owned(), level)));
        keeps.plugins.extend(self.logs.map(|keep| (plugin.to_owned(), keep)));
        seals.requires.plugins.extend(self.require_sealed.map(|requires| (plugin.to_owned(), requires)));
        seals.seals.plugins.extend(self.seal.map(|seal| (plugin.to_owned(), seal)));
        for (name, section) in &self.entrypoints {
            let entrypoint = || (plugin.to_owned(), name.clone());
            claims.entrypoints.extend(section.claim.map(|mode| (entrypoint(), mode)));
            history.entrypoints.extend(section.history.map(|level| (entrypoint(), level)));
            keeps.entrypoints.extend(section.logs.map(|keep| (entrypoint(), keep)));
            seals.requires.entrypoints.extend(section.require_sealed.map(|requires| (entrypoint(), requires)));
            seals.seals.entrypoints.extend(section.seal.map(|seal| (entrypoint(), seal)));
        }
    }

    /// Values are read here, even from files and variables: a plugin must not start without its
    /// secret.
    pub(super) fn check(self, plugin: &str, trust: Option<&Trust>, all: &mut Vec<String>) -> (Grants, Option<Canary>) {
        let canary = self.canary.as_ref().map(|canary| canary.canary(plugin, all));
        let mut mistakes = Mistakes { plugin, all };
        let sha256 = digests(self.sha256, &mut mistakes);
        let signer = self.signer.and_then(|name| mistakes.take("signer", trust::signer(&name, trust)));
        let mut grants = Grants { sha256, signer, schedules: self.max_schedules, ..Grants::default() };
        grants.http = self.http.into_iter().filter_map(|section| mistakes.take("http", section.grant())).collect();
        let networks = self.private_networks.iter();
        grants.private_networks = networks.filter_map(|text| mistakes.take("private-networks", text.parse())).collect();
        grants.authorities = self.ca_file.and_then(|file| mistakes.take("ca-file", Authorities::read(&file)));
        if self.enqueue.contains("") {
            mistakes.say("enqueue", "\"\" is not an entrypoint; write its name, or \"*\" for all");
        }
        grants.enqueue = self.enqueue;
        grants.config = values("config", self.config, &mut mistakes);
        for name in self.env.keys().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
            mistakes.say("env", format_args!("{name:?} is not the name of a variable; leave out `=` and NUL"));
        }
        grants.env = values("env", self.env, &mut mistakes);
        for (name, section) in self.secrets {
            let key = format!("secrets.{name}");
            if let Some(secret) = mistakes.take(&key, secret(section, &grants.http)) {
                grants.secrets.insert(name, secret);
            }
        }
        for (seen_as, folder) in &self.directories {
            let key = format!("directories.{seen_as:?}");
            if !seen_as.starts_with('/') {
                mistakes.say(&key, "the plugin sees absolute paths; start the path with `/`");
            }
            if !folder.is_absolute() || !folder.is_dir() {
                mistakes.say(
                    &key,
                    format_args!(
                        "{} is not the absolute path of a folder; create the folder, or name another",
                        folder.display()
                    ),
                );
            }
        }
        grants.directories = self.directories;
        grants.sql = self.sql.and_then(|section| mistakes.take("sql", section.grant()));
        (grants, canary)
    }
}

fn digests(section: Option<Digests>, mistakes: &mut Mistakes<'_>) -> Vec<String> {
    let list = match section {
        None => return Vec::new(),
        Some(Digests::One(one)) => vec![one],
        Some(Digests::Some(list)) => list,
    };
    if list.is_empty() {
        mistakes.say("sha256", "the list is empty, so no file could be loaded; name a digest, or leave the key out");
    }
    for text in list.iter().filter(|text| text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        mistakes.say("sha256", format_args!("{text:?} is not 64 hexadecimal digits; `sha256sum FILE` prints them"));
    }
    list.iter().map(|text| text.to_ascii_lowercase()).collect()
}

impl HttpSection {
    fn grant(self) -> Result<HttpGrant, String> {
        let table = match self {
            HttpSection::Origin(origin) => return Ok(HttpGrant::any(origin.parse()?)),
            HttpSection::With(table) => table,
        };
        let method = |text: &String| match text.parse::<Method>() {
            Ok(method) if *text == text.to_ascii_uppercase() && !matches!(method, Method::CONNECT | Method::TRACE) => {
                Ok(method)
            }
            _ => Err(format!("{text:?} is not a method that can be granted; write it like \"GET\" or \"POST\"")),
        };
        if table.methods.is_empty() {
            return Err(format!(
                "no method is granted for {:?}; name some, or write only the origin to grant all",
                table.origin
            ));
        }
        Ok(HttpGrant {
            origin: table.origin.parse()?,
            methods: Some(table.methods.iter().map(method).collect::<Result<_, _>>()?),
        })
    }
}

fn values(
    key: &str,
    sections: BTreeMap<String, ValueSection>,
    mistakes: &mut Mistakes<'_>,
) -> BTreeMap<String, Secret> {
    let read = |(name, section): (String, ValueSection)| {
        let value = mistakes.take(&format!("{key}.{name}"), section.read())?;
        Some((name, value))
    };
    sections.into_iter().filter_map(read).collect()
}

fn secret(section: SecretSection, granted: &[HttpGrant]) -> Result<SecretGrant, String> {
    let secret = section.source.read()?;
    if !secret.fits_a_header() {
        return Err("it is empty, or has bytes that a header cannot carry; check it for line breaks".into());
    }
    let Some(texts) = section.origins else { return Ok(SecretGrant { secret, origins: None }) };
    let mut origins = Vec::new();
    for text in texts {
        let origin: Origin = text.parse()?;
        if !granted.iter().any(|grant| grant.origin == origin) {
            return Err(format!("the plugin may not send requests to {text:?} at all; add it to http as well"));
        }
        origins.push(origin);
    }
    Ok(SecretGrant { secret, origins: Some(origins) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Grants, String> {
        let section: PluginSection = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut mistakes = Vec::new();
        let (grants, _) = section.check("p", None, &mut mistakes);
        if mistakes.is_empty() { Ok(grants) } else { Err(mistakes.join("\n")) }
    }

    #[test]
    fn every_key_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        std::fs::write(&file, "s3cret\r\n").expect("written");
        let (folder, file) = (folder.path().display(), file.display());
        let digest = "AB".repeat(32);
        let grants = check(&format!(
            r#"
            sha256 = "{digest}"
            http = ["https://a", {{ origin = "https://b:8443", methods = ["GET"] }}]
            private-networks = ["10.1.0.0/16"]
            enqueue = ["resize"]
            config = {{ region = "eu", token = {{ file = "{file}" }} }}
            env = {{ TZ = "UTC", HOME = {{ env = "PATH" }} }}
            secrets = {{ token = {{ file = "{file}", origins = ["https://b:8443"] }} }}
            directories = {{ "/data" = "{folder}" }}
            "#
        ))
        .expect("valid");
        assert_eq!(grants.sha256, [digest.to_lowercase()]);
        assert_eq!(grants.http[1].methods, Some(vec![Method::GET]));
        assert_eq!(grants.config["token"], Secret::new("s3cret"));
        assert_eq!(grants.secrets["token"].secret, Secret::new("s3cret"));
        assert_eq!(grants.env["HOME"], Secret::new(std::env::var("PATH").expect("a path")));
        assert_eq!(grants.list().len(), 10);
        assert!(!format!("{grants:?}").contains("s3cret"));
    }

    #[test]
    fn all_mistakes_are_named_at_once_with_their_remedies() {
        let mistakes = check(
            r#"
            sha256 = "abc"
            http = ["example.com", { origin = "https://b", methods = ["get"] }, { origin = "https://c", methods = [] }]
            private-networks = ["10.1.2.3/8"]
            enqueue = [""]
            config = { a = { file = "/no/such/file" } }
            env = { "B=C" = { env = "PGQ_HOST_NO_SUCH_VARIABLE" } }
            secrets = { d = { file = "/x", env = "Y" }, e = { env = "PATH", origins = ["https://elsewhere"] } }
            directories = { "data" = "relative", "/gone" = "/no/such/folder" }
            "#,
        )
        .expect_err("invalid");
        for part in [
            "plugins.p.sha256: \"abc\"",
            "example.com",
            "\"get\"",
            "no method",
            "10.1.2.3/8",
            "is not an entrypoint",
            "/no/such/file",
            "B=C",
            "PGQ_HOST_NO_SUCH_VARIABLE is not set",
            "plugins.p.secrets.d: a value has exactly one source",
            "https://elsewhere",
            "absolute paths",
            "/no/such/folder",
        ] {
            assert!(mistakes.contains(part), "{part} is missing in:\n{mistakes}");
        }
    }

    #[test]
    fn unknown_keys_and_secrets_in_the_open_are_errors() {
        for (text, part) in [
            ("https = []", "https"),
            ("secrets = { a = \"in the open\" }", "the source of a secret"),
            ("http = [{ origin = \"https://a\" }]", "not a grant"),
            ("config = { a = 1 }", "not a value"),
        ] {
            let error = check(text).expect_err(text);
            assert!(error.contains(part), "{part} is missing in: {error}");
        }
    }
}
