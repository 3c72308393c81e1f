//! What of TLS was asked for.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::settings::Settings;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

const MODES: [(&str, SslMode); 6] = [
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

/// Whether a login is bound to the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelBinding {
    Disable,
    Prefer,
    Require,
}

/// Versions of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V1_2,
    V1_3,
}

/// Whom to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Roots {
    /// The machine's own authorities.
    System,
    /// Those in this file, and no others.
    File(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    pub mode: SslMode,
    pub channel_binding: ChannelBinding,
    pub(crate) roots: Roots,
    /// A certificate and its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    pub(crate) revoked: Option<PathBuf>,
    pub(crate) sends_name: bool,
    /// TLS begins at once, without a question.
    pub(crate) is_direct: bool,
    pub(crate) versions: (Version, Version),
}

impl Encryption {
    pub(crate) fn read(settings: &Settings, environment: &Environment<'_>) -> Result<Encryption, String> {
        let choice = |name: &str, words: &[&str]| match settings.get(name) {
            Some(word) if words.contains(&word) => Ok(word.to_owned()),
            Some(word) => Err(format!("{} is {word:?}; use {}", settings.named(name), list(words))),
            None => Ok(words[0].to_owned()),
        };
        let home = environment("HOME").map(|home| Path::new(&home).join(".postgresql"));
        // libpq's own places, where something is there.
        let file = |name: &str, default: &str| match settings.get(name) {
            Some(file) => Some(PathBuf::from(file)),
            None => home.as_ref().map(|home| home.join(default)).filter(|file| file.exists()),
        };
        let names: Vec<&str> = MODES.iter().map(|(name, _)| *name).collect();
        let named = settings.get("sslmode").map(|_| choice("sslmode", &names)).transpose()?;
        let mode = MODES.iter().find(|(name, _)| named.as_deref() == Some(name)).map(|(_, mode)| *mode);
        let of_system = settings.get("sslrootcert") == Some("system");
        let mode = match mode {
            Some(mode) if of_system && mode != SslMode::VerifyFull => {
                return Err(format!(
                    "{} is too weak for sslrootcert=system, by which anybody's certificate is good: use verify-full",
                    settings.named("sslmode")
                ));
            }
            Some(mode) => mode,
            None if of_system => SslMode::VerifyFull,
            None => SslMode::Prefer,
        };
        let root = if of_system { None } else { file("sslrootcert", "root.crt") };
        // As in libpq: whoever names an authority wants it to be asked.
        let mode = if mode == SslMode::Require && root.is_some() { SslMode::VerifyCa } else { mode };
        let channel_binding = match choice("channel_binding", &["prefer", "disable", "require"])?.as_str() {
            "disable" => ChannelBinding::Disable,
            "require" => ChannelBinding::Require,
            _ => ChannelBinding::Prefer,
        };
        let version = |name: &str, default| match settings.get(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(default),
            Some("tlsv1" | "tlsv1.1") if name == "ssl_min_protocol_version" => Ok(Version::V1_2),
            Some("tlsv1.2") => Ok(Version::V1_2),
            Some("tlsv1.3") => Ok(Version::V1_3),
            Some(_) => Err(format!("{} is neither TLSv1.2 nor TLSv1.3", settings.named(name))),
        };
        let versions =
            (version("ssl_min_protocol_version", Version::V1_2)?, version("ssl_max_protocol_version", Version::V1_3)?);
        if versions.0 > versions.1 {
            return Err("ssl_min_protocol_version is above ssl_max_protocol_version".into());
        }
        let is_direct = choice("sslnegotiation", &["postgres", "direct"])? == "direct";
        if is_direct && mode < SslMode::Require {
            return Err(format!(
                "{} is direct, which needs sslmode=require or stricter",
                settings.named("sslnegotiation")
            ));
        }
        let certificates = choice("sslcertmode", &["allow", "disable", "require"])?;
        let identity = match certificates.as_str() {
            "disable" => None,
            _ => identity(file("sslcert", "postgresql.crt"), file("sslkey", "postgresql.key"), settings)?,
        };
        if certificates == "require" && identity.is_none() {
            return Err(format!("{} is require, and there is no sslcert", settings.named("sslcertmode")));
        }
        Ok(Encryption {
            mode,
            channel_binding,
            roots: root.map_or(Roots::System, Roots::File),
            identity,
            revoked: file("sslcrl", "root.crl"),
            sends_name: choice("sslsni", &["1", "0"])? == "1",
            is_direct,
            versions,
        })
    }

    /// Whether somebody named who vouches for the server, or whom it knows us by.
    pub fn names_somebody(&self) -> bool {
        matches!(self.roots, Roots::File(_)) || self.identity.is_some() || self.revoked.is_some()
    }

    /// Whether TLS begins without a question.
    pub fn is_direct(&self) -> bool {
        self.is_direct
    }

    /// Whether the driver does all of this by itself.
    pub(crate) fn is_plain(&self) -> bool {
        let usual = self.identity.is_none() && self.sends_name && !self.is_direct && self.versions == USUAL;
        let encrypts = matches!(self.mode, SslMode::Prefer | SslMode::Require) && usual;
        (encrypts || self.mode == SslMode::Disable) && self.channel_binding != ChannelBinding::Require
    }
}

const USUAL: (Version, Version) = (Version::V1_2, Version::V1_3);

fn identity(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    settings: &Settings,
) -> Result<Option<(PathBuf, PathBuf)>, String> {
    let Some(certificate) = certificate else { return Ok(None) };
    let Some(key) = key else {
        return Err(format!("{} has no key: set sslkey, or PGSSLKEY", settings.named("sslcert")));
    };
    // A file that is missing is reported by whoever reads it.
    if let Ok(metadata) = fs::metadata(&key) {
        let others = if metadata.uid() == 0 && !rustix::process::geteuid().is_root() { 0o037 } else { 0o077 };
        if metadata.mode() & others != 0 {
            return Err(format!(
                "{} is {:?}, which others may read: chmod 600 it (or 640, if it is root's)",
                settings.named("sslkey"),
                key.display().to_string()
            ));
        }
    }
    Ok(Some((certificate, key)))
}

fn list(words: &[&str]) -> String {
    match words {
        [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn read(dsn: &str, home: &Path) -> Result<Encryption, String> {
        let home = home.display().to_string();
        let environment = |name: &str| (name == "HOME").then(|| home.clone());
        Encryption::read(&Settings::read(Some(dsn), &environment)?, &environment)
    }

    #[test]
    fn modes_follow_from_what_is_trusted() {
        let home = tempfile::tempdir().expect("a folder");
        let mode = |parameters: &str| read(&format!("postgresql://h/?{parameters}"), home.path()).map(|read| read.mode);
        assert_eq!(mode(""), Ok(SslMode::Prefer));
        assert_eq!(mode("sslmode=require"), Ok(SslMode::Require));
        assert_eq!(mode("sslmode=require&sslrootcert=/ca"), Ok(SslMode::VerifyCa));
        assert_eq!(mode("sslrootcert=/ca"), Ok(SslMode::Prefer));
        assert_eq!(mode("sslrootcert=system"), Ok(SslMode::VerifyFull));
        for (parameters, said) in [
            ("sslrootcert=system&sslmode=require", "verify-full"),
            ("sslmode=verify_full", "\"verify_full\"; use disable, allow, prefer, require, verify-ca or verify-full"),
            ("channel_binding=yes", "channel_binding in the DSN is \"yes\"; use prefer, disable or require"),
            ("sslnegotiation=direct", "needs sslmode=require"),
            ("ssl_max_protocol_version=TLSv1.1", "ssl_max_protocol_version in the DSN"),
            ("ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2", "above"),
            ("sslcertmode=require", "no sslcert"),
            ("sslcert=/c", "has no key"),
        ] {
            let mistake = mode(parameters).expect_err(parameters);
            assert!(mistake.contains(said), "{parameters}: {mistake}");
        }
    }

    #[test]
    fn files_in_their_usual_places_are_used_and_a_key_that_others_may_read_is_not() {
        let home = tempfile::tempdir().expect("a folder");
        let own = home.path().join(".postgresql");
        fs::create_dir(&own).expect("a folder");
        for file in ["root.crt", "postgresql.crt", "postgresql.key"] {
            fs::write(own.join(file), "").expect("written");
        }
        let key = own.join("postgresql.key");
        let mistake = read("postgresql://h/", home.path()).expect_err("the key may be read");
        assert!(mistake.contains("chmod 600"), "{mistake}");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("set");
        let found = read("postgresql://h/?sslmode=require", home.path()).expect("read");
        assert_eq!((found.mode, &found.roots), (SslMode::VerifyCa, &Roots::File(own.join("root.crt"))));
        assert_eq!(found.identity, Some((own.join("postgresql.crt"), key)));
        assert_eq!(read("postgresql://h/?sslcertmode=disable", home.path()).expect("read").identity, None);
    }
}
