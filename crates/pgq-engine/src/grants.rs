//! What an operator allows a plugin to do. By default, nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use http::Method;
use pgq_job::Signer;

use super::address::{self, Network};
use super::authorities::Authorities;
use super::load_error::LoadError;
use super::needs::{Kind, Missing, Need, Needs};
use super::origin::{Host, Origin};
use super::secret::{Secret, SecretGrant};
use super::sql_grant::SqlGrant;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// The digests of the files that these grants are for. If empty, they are for any file with the
    /// plugin's name.
    pub sha256: Vec<String>,
    /// The key that must have signed the file that these grants are for. `None`: no key.
    pub signer: Option<Signer>,
    /// Where it may send HTTP requests.
    pub http: Vec<HttpGrant>,
    /// Addresses in the operator's own network to which a granted name may resolve.
    pub private_networks: Vec<Network>,
    /// Authorities trusted for its origins' certificates, besides the public ones.
    pub authorities: Option<Authorities>,
    /// Entrypoints that its handlers may enqueue. `*` means all.
    pub enqueue: BTreeSet<String>,
    /// The values returned by `wasi:config/store`.
    pub config: BTreeMap<String, Secret>,
    pub env: BTreeMap<String, Secret>,
    /// The values that replace `{{secret:NAME}}` in headers of its requests.
    pub secrets: BTreeMap<String, SecretGrant>,
    /// Folders that it may read: the path on the host, by the path that the plugin sees.
    pub directories: BTreeMap<String, PathBuf>,
    /// The role as which it may use the database.
    pub sql: Option<SqlGrant>,
    /// How many schedules it may have. `None` means the default.
    pub schedules: Option<usize>,
}

/// An origin, and the methods that requests to it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGrant {
    pub origin: Origin,
    /// `None` means any method.
    pub methods: Option<Vec<Method>>,
}

impl HttpGrant {
    /// A grant for any method.
    pub fn any(origin: Origin) -> HttpGrant {
        HttpGrant { origin, methods: None }
    }
}

impl Grants {
    /// Whether these grants are for the file with this digest, which these keys signed.
    pub(super) fn check_file(&self, plugin: &str, sha256: &str, signed_by: &[Signer]) -> Result<(), LoadError> {
        let plugin = || plugin.to_owned();
        if !self.sha256.is_empty() && !self.sha256.iter().any(|pinned| pinned == sha256) {
            return Err(LoadError::OtherFile { plugin: plugin(), sha256: sha256.to_owned() });
        }
        match &self.signer {
            Some(signer) if !signed_by.iter().any(|by| by.is(signer)) => {
                Err(LoadError::OtherSigner { plugin: plugin(), key: signer.key.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Whether a run can have effects outside of the sandbox, besides its outcome. Rows that it
    /// writes need a marked job: their transaction ends its row, which a batch would have locked. Folders can only
    /// be read, and what a handler enqueues is part of its outcome.
    pub fn has_way_out(&self) -> bool {
        !self.http.is_empty() || self.sql.is_some()
    }

    /// Check a request. The error is the remedy.
    pub(super) fn check_http(&self, origin: &Origin, method: &Method) -> Result<(), String> {
        // CONNECT turns a request into a tunnel, and TRACE would show the plugin the secrets that
        // the host inserted. Methods are case-sensitive, but not every server respects that.
        if [Method::CONNECT, Method::TRACE].iter().any(|never| method.as_str().eq_ignore_ascii_case(never.as_str())) {
            return Err("no plugin may use this method".into());
        }
        let mut there = self.http.iter().filter(|grant| grant.origin == *origin).peekable();
        if there.peek().is_none() {
            return Err(format!("http = [\"{origin}\"]"));
        }
        if there.any(|grant| grant.methods.as_ref().is_none_or(|methods| methods.contains(method))) {
            return Ok(());
        }
        Err(format!("http = [{{ origin = \"{origin}\", methods = [\"{method}\"] }}]"))
    }

    /// Whether a request to this host may be sent to this address. Granting a literal address
    /// grants that address.
    pub(super) fn allows_address(&self, host: &Host, address: IpAddr) -> bool {
        *host == Host::Address(address::unwrapped(address))
            || address::is_public(address)
            || self.private_networks.iter().any(|network| network.contains(address))
    }

    pub(super) fn allows_enqueue(&self, entrypoint: &str) -> bool {
        self.enqueue.contains("*") || self.enqueue.contains(entrypoint)
    }

    /// Whether the need is granted.
    pub fn meet(&self, need: &Need) -> bool {
        let what = &need.what;
        match need.kind {
            Kind::Http => self.http.iter().any(|grant| grant.origin.to_string() == *what),
            Kind::Config => self.config.contains_key(what),
            Kind::Secret => self.secrets.contains_key(what),
            Kind::Env => self.env.contains_key(what),
            Kind::Directory => self.directories.contains_key(what),
            Kind::Enqueue => self.allows_enqueue(what),
            Kind::Sql => self.sql.is_some(),
        }
    }

    /// What the plugin declares to need but is not granted.
    pub fn missing(&self, needs: &Needs) -> Vec<Missing> {
        needs.iter().filter(|need| !self.meet(need)).cloned().map(Missing).collect()
    }

    /// All grants, for people: their kind and name, without values.
    pub fn list(&self) -> Vec<(&'static str, String)> {
        let names = |kind: Kind, names: Vec<String>| names.into_iter().map(move |name| (kind.label(), name));
        let mut list: Vec<_> =
            names(Kind::Http, self.http.iter().map(|grant| grant.origin.to_string()).collect()).collect();
        list.extend(self.private_networks.iter().map(|network| ("private-network", network.to_string())));
        list.extend(self.authorities.iter().map(|authorities| ("ca-file", authorities.file.display().to_string())));
        list.extend(names(Kind::Enqueue, self.enqueue.iter().cloned().collect()));
        list.extend(names(Kind::Config, self.config.keys().cloned().collect()));
        list.extend(names(Kind::Env, self.env.keys().cloned().collect()));
        list.extend(names(Kind::Secret, self.secrets.keys().cloned().collect()));
        list.extend(self.sql.iter().map(|sql| (Kind::Sql.label(), sql.to_string())));
        list.extend(names(Kind::Directory, self.directories.keys().cloned().collect()));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(origins: &[&str]) -> Grants {
        let http = origins.iter().map(|origin| HttpGrant::any(origin.parse().expect("origin"))).collect();
        Grants { http, ..Grants::default() }
    }

    #[test]
    fn only_the_very_origin_is_allowed() {
        let grants = grants(&["https://Hooks.example.com"]);
        let allows = |uri: &str| {
            Origin::of(&uri.parse().expect("uri"))
                .is_some_and(|origin| grants.check_http(&origin, &Method::GET).is_ok())
        };
        assert!(allows("https://hooks.example.com/a?b"));
        assert!(allows("https://hooks.example.com.:443/"));
        for other in [
            "http://hooks.example.com/",
            "https://hooks.example.com:8443/",
            "https://hooks.example.com.evil.org/",
            "https://hooks.example.com@evil.org/",
            "https://evil.org/hooks.example.com",
        ] {
            assert!(!allows(other), "{other}");
        }
    }

    #[test]
    fn a_method_that_is_not_granted_is_refused_and_tunnels_always_are() {
        let mut grants = grants(&["https://a"]);
        let origin: Origin = "https://a".parse().expect("origin");
        for never in ["CONNECT", "connect", "Connect", "TRACE", "trace"] {
            assert!(grants.check_http(&origin, &never.parse().expect("a method")).is_err(), "{never}");
        }
        grants.http[0].methods = Some(vec![Method::GET]);
        assert!(grants.check_http(&origin, &Method::GET).is_ok());
        assert!(grants.check_http(&origin, &Method::POST).expect_err("refused").contains("POST"));
    }

    #[test]
    fn a_literal_grants_its_address_and_a_name_no_private_one() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let mut grants = Grants::default();
        assert!(grants.allows_address(&Host::Address(loopback), loopback));
        let name = Host::Name("localhost".into());
        assert!(!grants.allows_address(&name, loopback));
        assert!(grants.allows_address(&name, IpAddr::from([1, 1, 1, 1])));
        grants.private_networks.push("127.0.0.0/8".parse().expect("network"));
        assert!(grants.allows_address(&name, loopback));
    }

    #[test]
    fn each_missing_grant_is_named_with_the_line_that_grants_it() {
        let mut needs = Needs::default();
        let kinds = [Kind::Http, Kind::Config, Kind::Secret, Kind::Env, Kind::Directory, Kind::Enqueue, Kind::Sql];
        for kind in kinds {
            needs.add(kind, "https://a:443".into());
            needs.add(kind, "https://a:443".into());
        }
        let missing = Grants::default().missing(&needs);
        assert_eq!(missing.len(), kinds.len());
        for missing in missing {
            let line = missing.0.line();
            toml::from_str::<toml::Table>(&line).expect("a line that can be copied");
            assert!(missing.to_string().contains(&line));
        }
        assert_eq!(grants(&["https://a"]).missing(&needs).len(), kinds.len() - 1);
    }
}
