//! TLS with certificates of both sides, logins that are bound to them, and sessions of handlers over it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgq_embedded::{self as embedded, Server, Settings};
use pgq_host_tests::{Authority, CliOutput, Database, Host, Plugins, eventually, host_binary, put, run_command};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Who may come in, and how. The tests' own sessions come by TCP, plain.
const HBA: &str = "
hostssl all certified   127.0.0.1/32 cert
hostnossl all certified 127.0.0.1/32 reject
hostssl all mutual      127.0.0.1/32 scram-sha-256 clientcert=verify-ca
hostnossl all mutual    127.0.0.1/32 reject
hostssl all scrambled   127.0.0.1/32 scram-sha-256
hostnossl all scrambled 127.0.0.1/32 scram-sha-256
hostssl all trusted     127.0.0.1/32 trust
hostssl all digested    127.0.0.1/32 md5
host all all            127.0.0.1/32 scram-sha-256
";

/// A server with a certificate, which asks its clients for theirs.
struct World {
    server: Server,
    authority: Authority,
    database: Database,
    home: TempDir,
}

impl World {
    async fn new() -> World {
        let (authority, home) = (Authority::new("ours"), tempfile::tempdir().unwrap());
        let settings = |ssl: &str| {
            let all = [("fsync", "off"), ("ssl", ssl), ("ssl_ca_file", if ssl == "on" { "root.crt" } else { "" })];
            Settings {
                settings: all.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
                ..Settings::new(home.path())
            }
        };
        let server = embedded::start(settings("off")).await.expect("a server");
        let data = server.data_dir().join("data");
        authority.put_into(&data, &["127.0.0.1", "db.example"]);
        put(HBA.as_bytes(), &data, "pg_hba.conf");
        server.stop().await;
        let server = embedded::start(settings("on")).await.expect("a server with TLS");
        let database = Database::at(server.dsn("postgres")).await;
        database.install().await;
        for role in ["certified", "mutual", "scrambled", "trusted", "digested"] {
            let encryption = if role == "digested" { "md5" } else { "scram-sha-256" };
            database
                .execute(&format!(
                    "SET password_encryption = '{encryption}'; CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'pass word'"
                ))
                .await;
        }
        World { server, authority, database, home }
    }

    fn dsn(&self, role: &str, more: &str) -> String {
        self.dsn_at(self.server.port(), role, more)
    }

    fn dsn_at(&self, port: u16, role: &str, more: &str) -> String {
        format!("postgresql://{role}:pass%20word@127.0.0.1:{port}/postgres?{more}")
    }

    /// The parameters that check the server and show this certificate.
    fn both(&self, (certificate, key): &(PathBuf, PathBuf)) -> String {
        format!("{}&sslcert={}&sslkey={}", self.checked(), certificate.display(), key.display())
    }

    fn checked(&self) -> String {
        format!("sslmode=verify-full&sslrootcert={}", self.authority.root().display())
    }

    async fn stop(self) {
        self.database.pool().close().await;
        self.server.stop().await;
        drop(self.home);
    }
}

async fn backlog(dsn: &str) -> CliOutput {
    let mut command = Command::new(host_binary());
    command.env_clear().env("PGDSN", dsn).env("PGQUEUER_CONNECT_TIMEOUT", "20").arg("backlog");
    run_command(command).await
}

async fn refused(dsn: &str, text: &str) {
    let said = backlog(dsn).await;
    assert!(said.code != 0 && said.stderr.contains(text), "{dsn} is not refused with {text:?}: {said:?}");
    assert!(!said.stderr.contains("pass word"), "{said:?}");
}

#[tokio::test]
async fn a_certificate_of_ours_lets_a_host_in() {
    let (world, plugins) = (World::new().await, Plugins::with(&["hostile"]));
    let ours = world.authority.sign("certified", &[]);
    let dsn = world.dsn("certified", &world.both(&ours)).replace(":pass%20word", "");
    let mut command = Command::new(host_binary());
    command.env("PGDSN", &dsn).env("PGQ_HOST_CONFIG", plugins.config()).args(["run", "--plugins"]).arg(plugins.path());
    let host = Host::launch(command);
    host.wait_for_log("ready").await;
    let id = world.database.enqueue("echo", "x").await;
    world.database.wait_for(id, "successful").await;
    let sessions = |how: &str| {
        format!(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'certified' AND {how}"
        )
    };
    assert!(world.database.count(&sessions("ssl AND client_dn = '/CN=certified'")).await >= 2);
    assert_eq!(world.database.count(&sessions("NOT ssl")).await, 0);
    host.stop().await;

    refused(&world.dsn("certified", &world.checked()), "28000").await;
    let (stranger, other) = (Authority::new("other").sign("certified", &[]), world.authority.sign("somebody", &[]));
    let said = backlog(&world.dsn("certified", &world.both(&stranger))).await;
    assert!(said.code == 1, "a certificate of somebody else's authority: {said:?}");
    refused(&world.dsn("certified", &world.both(&other)), "28000").await;
    refused(&world.dsn("certified", &world.both(&(ours.0.clone(), other.1.clone()))), "no pair").await;
    refused(
        &world.dsn("certified", &world.both(&(PathBuf::from("/nowhere"), other.1.clone()))),
        "sslcert \"/nowhere\"",
    )
    .await;
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&other.1, open).unwrap();
    refused(&world.dsn("certified", &world.both(&other)), "chmod 600").await;
    // Its files in libpq's places.
    let own = world.home.path().join("user/.postgresql");
    std::fs::create_dir_all(&own).unwrap();
    for (from, to) in [(&ours.0, "postgresql.crt"), (&ours.1, "postgresql.key"), (&world.authority.root(), "root.crt")]
    {
        std::fs::copy(from, own.join(to)).unwrap();
    }
    let mut command = Command::new(host_binary());
    command.env_clear().env("HOME", own.parent().unwrap()).env("PGDSN", world.dsn("certified", "sslmode=verify-full"));
    command.arg("backlog");
    let said = run_command(command).await;
    assert_eq!(said.code, 0, "{said:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_server_is_who_its_certificate_says() {
    let world = World::new().await;
    let port = world.server.port();
    let named = |name: &str| {
        format!("host={name} hostaddr=127.0.0.1 port={port} user=scrambled password='pass word' dbname=postgres")
    };
    let checked = format!("sslmode=verify-full sslrootcert={}", world.authority.root().display());
    // The name is what is checked, and the address is where it is.
    for more in [
        "",
        " sslsni=0",
        " ssl_min_protocol_version=TLSv1.3",
        " ssl_max_protocol_version=TLSv1.2",
        " channel_binding=require",
    ] {
        let said = backlog(&format!("{} {checked}{more}", named("db.example"))).await;
        assert_eq!(said.code, 0, "{more}: {said:?}");
    }
    refused(&format!("{} {checked}", named("other.example")), "certificate").await;
    assert_eq!(backlog(&format!("{} {}", named("other.example"), checked.replace("full", "ca"))).await.code, 0);
    // Whoever names an authority gets it, and no other: `require` checks as well.
    let stranger = Authority::new("stranger");
    let other = |mode: &str| format!("sslmode={mode}&sslrootcert={}", stranger.root().display());
    for mode in ["require", "verify-ca", "verify-full"] {
        refused(&world.dsn("scrambled", &other(mode)), "certificate").await;
    }
    refused(&world.dsn("scrambled", "sslrootcert=system"), "certificate").await;
    refused(&world.dsn("scrambled", "sslmode=verify-full&sslrootcert=/nowhere"), "sslrootcert \"/nowhere\"").await;
    assert_eq!(backlog(&world.dsn("scrambled", "sslmode=allow")).await.code, 0);
    // Only with TLS may this one come in: `allow` asks again.
    assert_eq!(backlog(&world.dsn("trusted", "sslmode=allow")).await.code, 0);
    world.stop().await;
}

/// Somebody in between, with a certificate of their own, who passes everything on.
async fn in_between(server: u16) -> u16 {
    let authority = Authority::new("in between");
    let (certificate, key) = authority.sign("server", &["127.0.0.1"]);
    let provider = Arc::new(ring::default_provider());
    let accepts =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
    let accepts =
        accepts.with_no_client_auth().with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = TlsAcceptor::from(Arc::new(accepts.clone()));
            tokio::spawn(pass_on(client, acceptor, server));
        }
    });
    port
}

async fn pass_on(mut client: TcpStream, acceptor: TlsAcceptor, server: u16) -> std::io::Result<()> {
    let mut request = [0; 8];
    client.read_exact(&mut request).await?;
    client.write_all(b"S").await?;
    let mut client = acceptor.accept(client).await?;
    let mut stream = TcpStream::connect(("127.0.0.1", server)).await?;
    stream.write_all(&request).await?;
    assert_eq!(stream.read_u8().await?, b'S');
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    config.dangerous().set_certificate_verifier(Arc::new(Gullible));
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut server = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// Believes every server.
#[derive(Debug)]
struct Gullible;

mod gullible {
    use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use tokio_rustls::rustls::{DigitallySignedStruct, Error, SignatureScheme};

    impl ServerCertVerifier for super::Gullible {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            ring::default_provider().signature_verification_algorithms.supported_schemes()
        }
    }
}

#[tokio::test]
async fn a_login_that_is_bound_to_the_certificate_is_worth_nothing_to_somebody_in_between() {
    let world = World::new().await;
    let bound = "sslmode=require&channel_binding=require";
    assert_eq!(backlog(&world.dsn("scrambled", bound)).await.code, 0);
    let between = in_between(world.server.port()).await;
    // Nobody looks at the certificate, so they can read along.
    let said = backlog(&world.dsn_at(between, "scrambled", "sslmode=require")).await;
    assert_eq!(said.code, 0, "{said:?}");
    refused(&world.dsn_at(between, "scrambled", bound), "channel binding").await;
    refused(&world.dsn_at(between, "scrambled", &world.checked()), "certificate").await;
    // A server that lets us in in another way could be anybody.
    refused(&world.dsn("trusted", bound), "channel binding is required").await;
    refused(&world.dsn("digested", bound), "channel binding is required").await;
    refused(&world.dsn("scrambled", "sslmode=disable&channel_binding=require"), "channel binding is required").await;
    // Without that demand they may: by trust, and by MD5.
    for role in ["trusted", "digested"] {
        let said = backlog(&world.dsn(role, &world.checked())).await;
        assert_eq!(said.code, 0, "{role}: {said:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn sessions_of_handlers_are_encrypted_checked_and_show_our_certificate() {
    let (world, plugins) = (World::new().await, Plugins::with(&["sql"]));
    world.database.execute("CREATE TABLE thing (id bigint); CREATE SCHEMA own").await;
    world.database.execute("ALTER ROLE mutual NOSUPERUSER; GRANT SELECT ON pg_stat_ssl TO mutual").await;
    let granted = |worker: &str| {
        let mut command = Command::new(host_binary());
        command.env_clear().env("PGDSN", world.server.dsn("postgres"));
        command.args(["grant", worker, "--handler", "mutual", "--apply"]);
        run_command(command)
    };
    assert_eq!(granted("certified").await.code, 0);
    let password = plugins.path().join("password");
    std::fs::write(&password, "pass word\n").unwrap();
    let config =
        format!("[plugins.sql.sql]\nrole = \"mutual\"\npassword = {{ file = {:?} }}\n", password.to_str().unwrap());
    std::fs::write(plugins.config(), config).unwrap();
    let dsn = world.dsn("certified", &world.both(&world.authority.sign("certified", &[])));
    let run = |dsn: &str| {
        let mut command = Command::new(host_binary());
        command.env("PGDSN", dsn).env("PGQ_HOST_CONFIG", plugins.config());
        command.args(["run", "--dequeue-timeout", "1", "--plugins"]).arg(plugins.path());
        Host::launch(command)
    };
    // Bound to the certificate as well.
    let host = run(&format!("{dsn}&channel_binding=prefer"));
    host.wait_for_log("ready").await;
    let ask = "SELECT ssl::text || ' ' || client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let output = done(&world.database, json!([{"query": [ask]}])).await;
    assert!(output.contains("true /CN=certified"), "{output}");
    host.stop().await;
    world.stop().await;
}

/// Run these steps, and return their output.
async fn done(database: &Database, steps: serde_json::Value) -> String {
    let id = database.enqueue("patient", steps.to_string()).await;
    eventually("the job ended", async || {
        let last = database.history(id).await.pop();
        last.as_deref().is_some_and(|last| last == "successful" || last == "failed")
    })
    .await;
    match database.output(id).await {
        Some(output) => output,
        None => panic!("job {id}: {}", database.traceback(id).await),
    }
}

#[tokio::test]
async fn a_certificate_that_is_renewed_under_a_running_host_is_the_next_sessions() {
    let (world, plugins) = (World::new().await, Plugins::with(&["hostile"]));
    let ours = world.authority.sign("certified", &[]);
    let mut command = Command::new(host_binary());
    command.env("PGDSN", world.dsn("certified", &world.both(&ours))).env("PGQ_HOST_CONFIG", plugins.config());
    command.args(["run", "--dequeue-timeout", "1", "--plugins"]).arg(plugins.path());
    let host = Host::launch(command);
    host.wait_for_log("ready").await;
    let serials = "SELECT count(DISTINCT client_serial) FROM pg_stat_ssl WHERE client_dn = '/CN=certified'";
    let serial = "SELECT max(client_serial)::text FROM pg_stat_ssl WHERE client_dn = '/CN=certified'";
    let read = async || sqlx::query_scalar::<_, Option<String>>(serial).fetch_one(world.database.pool()).await.unwrap();
    let before = read().await.expect("a session");
    // The same files, with other content.
    assert_eq!(world.authority.sign("certified", &[]), ours);
    // A session that read the files before that may be logging in still: each is ended once it has.
    let end = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_ssl
         WHERE client_dn = '/CN=certified' AND client_serial = {before}"
    );
    eventually("sessions with the new one", async || {
        world.database.count(&end).await == 0
            && world.database.count(serials).await == 1
            && read().await.is_some_and(|serial| serial != before)
    })
    .await;
    let id = world.database.enqueue("echo", "x").await;
    world.database.wait_for(id, "successful").await;
    host.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn the_relay_leaves_no_door_open_to_others() {
    let (world, plugins) = (World::new().await, Plugins::with(&["hostile"]));
    let mut command = Command::new(host_binary());
    command.env("PGDSN", world.dsn("scrambled", &world.checked())).env("PGQ_HOST_CONFIG", plugins.config());
    command.args(["run", "--plugins"]).arg(plugins.path());
    let host = Host::launch(command);
    host.wait_for_log("ready").await;
    // Once its sessions are open, nothing of it listens any more.
    let listening = || {
        let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
        let accepts = |line: &&str| line.split_whitespace().nth(3) == Some("00010000");
        sockets.lines().filter(accepts).filter(|line| line.contains("@pgq-host-")).count()
    };
    if Path::new("/proc/net/unix").exists() {
        eventually("no socket listens", async || listening() == 0).await;
    }
    host.stop().await;
    world.stop().await;
}
