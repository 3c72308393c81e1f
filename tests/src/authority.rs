//! A certificate authority of the tests' own, and what it signs.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// Its certificates are files in a folder, readable by this user alone.
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, format!("pgq-host test authority {name}"));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let authority = Authority { folder, issuer: Issuer::new(params, key) };
        authority.write("ca.crt", &certificate.pem());
        authority
    }

    /// The file of its own certificate.
    pub fn root(&self) -> PathBuf {
        self.path("ca.crt")
    }

    /// A certificate for these names, or for a user of this name, and its key: two files.
    pub fn sign(&self, user: &str, names: &[&str]) -> (PathBuf, PathBuf) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, user);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.write(&format!("{user}.crt"), &certificate.pem());
        self.write(&format!("{user}.key"), &key.serialize_pem());
        (self.path(&format!("{user}.crt")), self.path(&format!("{user}.key")))
    }

    /// Put a certificate for these names where the server of this folder looks for it, with this
    /// authority's own for those of clients.
    pub fn put_into(&self, data: &Path, names: &[&str]) {
        let (certificate, key) = self.sign("server", names);
        for (from, to) in [(certificate, "server.crt"), (key, "server.key"), (self.root(), "root.crt")] {
            put(&fs::read(from).expect("a file"), data, to);
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).expect("written");
        fs::set_permissions(self.path(file), fs::Permissions::from_mode(0o600)).expect("set");
    }
}

/// Into a server's folder, for its user alone.
pub fn put(content: &[u8], data: &Path, file: &str) {
    let (owner, place) = (fs::metadata(data).expect("a folder"), data.join(file));
    fs::write(&place, content).expect("written");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o600)).expect("set");
    chown(&place, Some(owner.uid()), Some(owner.gid())).expect("given to its user");
}
