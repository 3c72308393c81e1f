//! A registry of a test's own: Debian's `docker-registry`, if it is installed.

use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::eventually;

/// The password of the user `pgq` where one is asked for, and its bcrypt.
pub const PASSWORD: &str = "open sesame";
const HTPASSWD: &str = "pgq:$2b$05$SjY7ie2R7Ub1k.M/0FJY/u189N8H4csv46vnU6KrKqbjPvHJxspPK\n";

pub struct Registry {
    child: Option<Child>,
    binary: PathBuf,
    folder: TempDir,
    address: Ipv4Addr,
    port: u16,
}

impl Registry {
    /// `None`, with a message, on a machine without one.
    pub async fn start() -> Option<Registry> {
        Registry::with("").await
    }

    /// One that asks for a password.
    pub async fn with_password() -> Option<Registry> {
        Registry::with("auth:\n  htpasswd:\n    realm: tests\n    path: FOLDER/htpasswd\n").await
    }

    /// One that is asked over TLS, with a certificate that [`Registry::authority`] signed. It has an
    /// address that is not loopback's, since that is asked without TLS.
    pub async fn with_tls() -> Option<Registry> {
        let Some(address) = own_address() else {
            eprintln!("SKIPPED: this machine has no address besides loopback, so no registry was asked over TLS");
            return None;
        };
        let tls = "  tls:\n    certificate: FOLDER/cert.pem\n    key: FOLDER/key.pem\n";
        Registry::at(address, tls).await
    }

    /// The file of the authority that its certificate is checked against.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    async fn with(rest: &str) -> Option<Registry> {
        Registry::at(Ipv4Addr::LOCALHOST, rest).await
    }

    async fn at(address: Ipv4Addr, rest: &str) -> Option<Registry> {
        let Some(binary) = binary() else {
            eprintln!(
                "SKIPPED: docker-registry is missing ('apt-get install docker-registry'), so nothing was pulled or pushed"
            );
            return None;
        };
        let port = TcpListener::bind((address, 0)).and_then(|socket| socket.local_addr()).expect("a free port").port();
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().display().to_string();
        let rest = rest.replace("FOLDER", &place);
        let settings = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {place}/data\n  delete:\n    enabled: true\nhttp:\n  addr: {address}:{port}\n{rest}"
        );
        std::fs::write(folder.path().join("config.yml"), settings).expect("written");
        std::fs::write(folder.path().join("htpasswd"), HTPASSWD).expect("written");
        let certified = rcgen::generate_simple_self_signed([address.to_string()]).expect("a certificate");
        std::fs::write(folder.path().join("cert.pem"), certified.cert.pem()).expect("written");
        std::fs::write(folder.path().join("key.pem"), certified.signing_key.serialize_pem()).expect("written");
        let mut registry = Registry { child: None, binary, folder, address, port };
        registry.restart().await;
        Some(registry)
    }

    /// Start it again with what it had.
    pub async fn restart(&mut self) {
        let child = Command::new(&self.binary)
            .arg("serve")
            .arg(self.folder.path().join("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        self.child = Some(child);
        let place = (self.address, self.port);
        eventually("the registry answers", async || TcpStream::connect(place).is_ok()).await;
    }

    /// End it at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("{}:{}", self.address, self.port)
    }

    /// A reference to this name and tag.
    pub fn reference(&self, name: &str) -> String {
        format!("oci://{}/{name}", self.address())
    }

    /// The file in which it keeps the bytes with this digest.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").expect("a digest");
        let blobs = self.folder.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    /// A folder for `DOCKER_CONFIG` with the password of this registry.
    pub fn docker_config(&self, password: &str) -> PathBuf {
        let folder = self.folder.path().join("docker");
        std::fs::create_dir_all(&folder).expect("created");
        let auths = serde_json::json!({ "auths": { self.address(): { "username": "pgq", "password": password } } });
        std::fs::write(folder.join("config.json"), auths.to_string()).expect("written");
        folder
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The address from which this machine would speak to others. Nothing is sent.
fn own_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if !address.is_loopback() && !address.is_unspecified() => Some(address),
        _ => None,
    }
}

fn binary() -> Option<PathBuf> {
    let places = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&places).chain([Path::new("/usr/bin").to_owned()]);
    folders.find_map(|folder| Some(folder.join("docker-registry")).filter(|path| path.is_file()))
}
