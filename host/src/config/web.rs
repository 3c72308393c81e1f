//! `[web]`: where the pages are, and who may see and change what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::units::parse_duration;
use pgq_queue::{Masks, Pointer};
use pgq_web::Role;
use pgq_web::auth::{Account, Network, PasswordHash};

/// As written. Flags and variables go before it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct WebSection {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
    base_path: Option<String>,
    trusted_proxies: Vec<String>,
    hosts: Vec<String>,
    session: Option<String>,
    users: Vec<UserSection>,
    mask: Vec<String>,
    entrypoints: BTreeMap<String, MaskSection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MaskSection {
    mask: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct UserSection {
    name: String,
    role: String,
    password_hash: String,
}

/// `[web]`, checked.
#[derive(Debug, Clone, Default)]
pub struct Web {
    /// Where `web` listens.
    pub host: Option<String>,
    pub port: Option<u16>,
    /// The one user that PgQueuer has.
    pub user: Option<String>,
    pub password_file: Option<PathBuf>,
    /// Tokens of programs.
    pub token_file: Option<PathBuf>,
    /// The path that a reverse proxy serves the site below.
    pub base_path: Option<String>,
    pub trusted_proxies: Vec<Network>,
    /// Names that the site is reached by.
    pub hosts: Vec<String>,
    /// How long a login lasts.
    pub session: Option<Duration>,
    pub users: Vec<Account>,
    /// What nobody sees of payloads and outputs, by verbs neither.
    pub masks: Masks,
}

impl WebSection {
    pub(super) fn check(self, mistakes: &mut Vec<String>) -> Web {
        let mut say = |key: &str, mistake: String| mistakes.push(format!("web.{key}: {mistake}"));
        let networks = self.trusted_proxies.iter().map(|text| text.parse::<Network>());
        let (networks, wrong): (Vec<_>, Vec<_>) = networks.partition(Result::is_ok);
        wrong.into_iter().filter_map(Result::err).for_each(|mistake| say("trusted-proxies", mistake));
        let session = self.session.and_then(|text| match parse_duration(&text) {
            Ok(time) if time >= Duration::from_secs(60) => Some(time),
            Ok(_) => {
                say("session", format!("{text:?} is less than a minute"));
                None
            }
            Err(mistake) => {
                say("session", mistake);
                None
            }
        });
        let (mut users, mut names) = (Vec::new(), BTreeSet::new());
        for user in self.users {
            let key = format!("users.{:?}", user.name);
            if user.name.is_empty() || user.name.contains(':') || user.name.len() > 128 {
                say(&key, "a name has 1 to 128 bytes and no colon".into());
            }
            if !names.insert(user.name.clone()) {
                say(&key, "there is a user of this name already".into());
            }
            match (user.role.parse::<Role>(), PasswordHash::new(&user.password_hash)) {
                (Ok(role), Ok(password)) => users.push(Account { name: user.name, role, password }),
                (role, password) => {
                    role.err().into_iter().for_each(|mistake| say(&format!("{key}.role"), mistake));
                    password.err().into_iter().for_each(|mistake| say(&format!("{key}.password-hash"), mistake));
                }
            }
        }
        let mut pointers = |key: &str, texts: Vec<String>| -> Vec<Pointer> {
            let parsed =
                texts.into_iter().map(|text| text.parse::<Pointer>().map_err(|mistake| say(key, mistake)).ok());
            parsed.flatten().collect()
        };
        let all = pointers("mask", self.mask);
        let own = self.entrypoints.into_iter();
        let own = own.map(|(name, section)| (pointers(&format!("entrypoints.{name}.mask"), section.mask), name));
        let masks = Masks { all, entrypoints: own.map(|(pointers, name)| (name, pointers)).collect() };
        Web {
            host: self.host,
            port: self.port,
            user: self.user,
            password_file: self.password_file,
            token_file: self.token_file,
            base_path: self.base_path,
            trusted_proxies: networks.into_iter().filter_map(Result::ok).collect(),
            hosts: self.hosts,
            session,
            users,
            masks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Web, String> {
        let section: WebSection = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut mistakes = Vec::new();
        let web = section.check(&mut mistakes);
        if mistakes.is_empty() { Ok(web) } else { Err(mistakes.join("\n")) }
    }

    #[test]
    fn users_have_a_role_and_a_hash() {
        let hash = pgq_web::auth::hash_password("correct horse").expect("a hash");
        let web = read(&format!(
            "session = \"8h\"\ntrusted-proxies = [\"10.0.0.0/8\"]\n[[users]]\nname = \"ann\"\nrole = \"viewer\"\npassword-hash = \"{hash}\""
        ))
        .expect("valid");
        assert_eq!((web.users[0].name.as_str(), web.users[0].role), ("ann", Role::Viewer));
        assert_eq!((web.session, web.trusted_proxies.len()), (Some(Duration::from_secs(8 * 3600)), 1));
        assert!(!format!("{web:?}").contains(&hash));
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let text = "mask = [\"email\"]\nsession = \"1s\"\ntrusted-proxies = [\"proxy\"]\n\
                    [[users]]\nname = \"ann:b\"\nrole = \"king\"\npassword-hash = \"secret\"";
        let mistakes = read(text).expect_err("invalid");
        for part in [
            "web.session",
            "web.mask: \"email\"",
            "\"proxy\"",
            "no colon",
            "\"king\"",
            "password-hash",
            "--hash-password",
        ] {
            assert!(mistakes.contains(part), "{part} is missing in: {mistakes}");
        }
        assert!(read("password = \"secret\"").is_err(), "a password is not written in the configuration");
    }
}
