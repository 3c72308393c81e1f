//! PgBouncer in front of a test's database, if it is installed.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{Database, eventually};

pub struct PgBouncer {
    child: Child,
    _folder: TempDir,
    dsn: String,
}

impl PgBouncer {
    /// Start it in front of this database, in `transaction` or `session` mode. `None`, with a
    /// message, on a machine without PgBouncer.
    pub async fn start(database: &Database, mode: &str) -> Option<PgBouncer> {
        let Some(binary) = binary() else {
            eprintln!("SKIPPED: pgbouncer is missing ('apt-get install pgbouncer'), so nothing was run through it");
            return None;
        };
        // postgresql://user:password@host:port/database
        let dsn = database.dsn();
        let (user, place) =
            dsn.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).expect("a DSN with a user");
        let (name, password) = user.split_once(':').unwrap_or((user, ""));
        let (address, database) = place.split_once('/').expect("a DSN with a database");
        let (host, server_port) = address.split_once(':').unwrap_or((address, "5432"));
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|socket| socket.local_addr())
            .expect("a free port")
            .port();
        // Fewer sessions than the connections of two hosts, so that they have to be shared.
        let settings = format!(
            "[databases]\n{database} = host={host} port={server_port} user={name} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n\
             default_pool_size = {}\nmax_client_conn = 200\n",
            if mode == "transaction" { 3 } else { 40 }
        );
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).expect("written");
        let mut command = Command::new(binary);
        if rustix::process::geteuid().is_root() {
            // It does not run as root, and reads its settings as another user.
            command.args(["-u", "nobody"]);
            open_to_all(folder.path(), 0o755);
            open_to_all(&file, 0o644);
        }
        let child = command
            .arg("-q")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let bouncer =
            PgBouncer { child, _folder: folder, dsn: format!("postgresql://{name}@127.0.0.1:{port}/{database}") };
        eventually("pgbouncer answers", async || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()).await;
        Some(bouncer)
    }

    /// The DSN of the database through it.
    pub fn dsn(&self) -> &str {
        &self.dsn
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian installs it where only root searches.
fn binary() -> Option<PathBuf> {
    let places = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&places).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.find_map(|folder| Some(folder.join("pgbouncer")).filter(|path| path.is_file()))
}

fn open_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
}
