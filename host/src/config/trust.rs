//! `[trust]`: whose components are served.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use pgq_job::Signer;
use pgq_trust::{PublicKey, Rule, Trust};

/// A file of a key is small, and a mistaken path may lead to anything.
const MAX_KEY_BYTES: u64 = 64 << 10;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TrustSection {
    #[serde(default)]
    keys: BTreeMap<String, KeySection>,
    signers: Option<Vec<String>>,
    #[serde(default)]
    unsigned: bool,
    #[serde(default)]
    plugins: BTreeMap<String, RuleSection>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RuleSection {
    signers: Option<Vec<String>>,
    unsigned: bool,
    minimum_version: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "not a key; write { file = \"/path/to/key.pub\" }, or its PEM: \"\"\"-----BEGIN PUBLIC KEY-----...\"\"\""
)]
enum KeySection {
    Pem(String),
    File(FileTable),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTable {
    file: PathBuf,
}

impl TrustSection {
    pub(super) fn check(self, mistakes: &mut Vec<String>) -> Trust {
        let mut trust = Trust::default();
        let named: Vec<String> = self.keys.keys().cloned().collect();
        for (name, section) in self.keys {
            match section.read() {
                Ok(key) => drop(trust.keys.insert(name, key)),
                Err(mistake) => mistakes.push(format!("trust.keys.{name}: {mistake}")),
            }
        }
        let mut rule = |at: &str, signers: Option<Vec<String>>, unsigned: bool, minimum: Option<String>| {
            if signers.as_ref().is_some_and(Vec::is_empty) && !unsigned {
                mistakes.push(format!("{at}.signers is empty, so nothing could be loaded; name a key of [trust.keys]"));
            }
            for unknown in signers.iter().flatten().filter(|name| !named.contains(name)) {
                mistakes.push(format!(
                    "{at}.signers names {unknown:?}, which is not under [trust.keys]; add that key there"
                ));
            }
            let minimum = minimum.and_then(|text| match text.parse() {
                Ok(version) => Some(version),
                Err(_) => {
                    mistakes.push(format!("{at}.minimum-version is {text:?}, which is not a version like \"1.4.0\""));
                    None
                }
            });
            Rule { signers, unsigned, minimum }
        };
        trust.all = rule("trust", self.signers, self.unsigned, None);
        for (plugin, RuleSection { signers, unsigned, minimum_version }) in self.plugins {
            let made = rule(&format!("trust.plugins.{plugin}"), signers, unsigned, minimum_version);
            trust.plugins.insert(plugin, made);
        }
        if named.is_empty() && !trust.all.unsigned {
            mistakes.push(
                "trust.keys names no key, so nothing could be loaded; add one, or remove [trust] to load whatever is there"
                    .into(),
            );
        }
        trust
    }
}

impl KeySection {
    fn read(self) -> Result<PublicKey, String> {
        let (text, shown) = match self {
            KeySection::Pem(text) => (text, None),
            KeySection::File(FileTable { file }) => (read(&file)?, Some(file)),
        };
        PublicKey::read(&text).map_err(|error| match shown {
            Some(file) => format!("{}: {error}", file.display()),
            None => error.to_string(),
        })
    }
}

fn read(file: &std::path::Path) -> Result<String, String> {
    use std::io::Read as _;
    let error = |error: std::io::Error| {
        format!("the file {} cannot be read: {error}; create it, or name another", file.display())
    };
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(error)?;
    if !opened.metadata().map_err(error)?.is_file() {
        return Err(format!("{} is not a regular file; name the file of a public key", file.display()));
    }
    opened.take(MAX_KEY_BYTES).read_to_string(&mut text).map_err(error)?;
    Ok(text)
}

/// The key of this name, to which grants are bound.
pub(super) fn signer(name: &str, trust: Option<&Trust>) -> Result<Signer, String> {
    match trust.and_then(|trust| trust.keys.get(name)) {
        Some(key) => Ok(Signer { key: name.to_owned(), fingerprint: key.fingerprint() }),
        None => Err(format!("{name:?} is not a key under [trust.keys]; add it there")),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const KEY: &str = "\"\"\"\n-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n\"\"\"";

    #[test]
    fn keys_and_rules_are_read() {
        let text = format!(
            "[trust]\nsigners = [\"release\"]\n[trust.keys]\nrelease = {KEY}\nci = {KEY}\n[trust.plugins.pay]\nsigners = [\"ci\"]\nminimum-version = \"1.4.0\"\n[plugins.pay]\nsigner = \"ci\"\n"
        );
        let config = Config::parse(&text).expect("valid");
        let trust = config.trust.as_deref().expect("there is one");
        assert_eq!(trust.all.signers.as_deref(), Some(&["release".to_owned()][..]));
        assert_eq!(trust.plugins["pay"].minimum.as_ref().map(ToString::to_string).as_deref(), Some("1.4.0"));
        assert_eq!(config.grants["pay"].signer.as_ref().map(|signer| &*signer.key), Some("ci"));
        assert!(Config::parse("").expect("valid").trust.is_none());
    }

    #[test]
    fn what_could_load_nothing_and_what_names_no_key_are_mistakes() {
        for (text, part) in [
            ("[trust]".to_owned(), "names no key"),
            ("[trust.keys]\na = \"key\"".to_owned(), "not a key in PEM form"),
            ("[trust.keys]\na = { file = \"/nowhere/key.pub\" }".to_owned(), "/nowhere/key.pub"),
            (format!("[trust]\nsigners = []\n[trust.keys]\na = {KEY}"), "signers is empty"),
            (format!("[trust]\nsigners = [\"b\"]\n[trust.keys]\na = {KEY}"), "\"b\""),
            (format!("[trust.keys]\na = {KEY}\n[trust.plugins.p]\nminimum-version = \"new\""), "\"new\""),
            (format!("[trust.keys]\na = {KEY}\n[trust.plugins.p]\nsigner = \"a\""), "signer"),
            (format!("[trust.keys]\na = {KEY}\n[plugins.p]\nsigner = \"b\""), "plugins.p.signer"),
            ("[plugins.p]\nsigner = \"b\"".to_owned(), "plugins.p.signer"),
        ] {
            let error = format!("{:#}", Config::parse(&text).expect_err(&text));
            assert!(error.contains(part), "{part} is missing in: {error}");
        }
    }
}
