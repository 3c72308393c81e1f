//! How to say where the database is and how to connect: PgQueuer's variables, libpq's, TLS.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pgq_embedded::{self as embedded, Settings};
use pgq_host_tests::{CliOutput, Database, Host, Plugins, host_binary, pgq_host, run_command};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::process::Command;

/// The parts of `postgresql://user:password@host:port/database`.
fn parts(dsn: &str) -> [String; 5] {
    let rest = dsn.strip_prefix("postgresql://").unwrap();
    let (login, place) = rest.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let (address, database) = place.split_once('/').unwrap();
    let (host, port) = address.split_once(':').unwrap();
    [user, password, host, port, database].map(str::to_owned)
}

/// `pgq-host` with only these variables (and no home, because of .pgpass).
async fn with(variables: &[(&str, &str)], args: &[&str]) -> CliOutput {
    let mut command = Command::new(host_binary());
    command.env_clear().envs(variables.iter().copied()).args(args);
    run_command(command).await
}

#[tokio::test]
async fn libpqs_variables_say_where_the_database_is() {
    let database = Database::new().await;
    let [user, password, host, port, name] = parts(&database.dsn());
    database.enqueue("work", "x").await;
    let place = [("PGHOST", host.as_str()), ("PGPORT", &port), ("PGUSER", &user), ("PGDATABASE", &name)];
    let backlog = async |more: &[(&str, &str)]| with(&[&place[..], more].concat(), &["backlog", "--json"]).await;

    let said = backlog(&[("PGPASSWORD", &password)]).await;
    assert_eq!(said.json()[0]["queued_count"], json!(1), "{said:?}");
    // A password file, with the permissions that libpq requires.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pass");
    std::fs::write(&file, format!("{host}:{port}:*:{user}:{password}\n")).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(backlog(&[("PGPASSFILE", file.to_str().unwrap())]).await.code, 0);
    let said = backlog(&[("PGPASSWORD", "wrong")]).await;
    assert!(
        said.code == 1 && !said.stderr.contains("wrong") && said.stderr.contains(&format!("{host}:{port}")),
        "{said:?}"
    );
    // The variables supply what a DSN omits, and the DSN takes precedence.
    let dsn = format!("postgresql://{user}@{host}:{port}");
    let most = [("PGDSN", dsn.as_str()), ("PGPASSWORD", &password), ("PGDATABASE", &name), ("PGPORT", "1")];
    assert_eq!(with(&most, &["backlog"]).await.code, 0);
    // Session options take effect.
    let said = backlog(&[("PGPASSWORD", &password), ("PGOPTIONS", "-c search_path=pg_catalog")]).await;
    assert!(said.code == 1 && said.stderr.contains("tables do not exist"), "{said:?}");
}

#[tokio::test]
async fn pgqueuers_variables_say_where_the_database_is_and_what_things_are_called() {
    let database = Database::empty().await;
    let dsn = database.dsn();
    let installed = with(
        &[("PGQUEUER_DSN", &dsn), ("PGDSN", ""), ("PGQUEUER_PREFIX", "p_"), ("PGQUEUER_SCHEMA", "Jobs")],
        &["install"],
    )
    .await;
    assert_eq!(installed.code, 0, "{installed:?}");
    // A flag takes precedence over PGDSN, and PGDSN over PGQUEUER_DSN, as in PgQueuer.
    let place = [("PGQUEUER_PREFIX", "p_"), ("PGQUEUER_SCHEMA", "jobs")];
    let nowhere = "postgresql://nobody@127.0.0.1:1/none";
    let first = [&place[..], &[("PGDSN", dsn.as_str()), ("PGQUEUER_DSN", nowhere)]].concat();
    assert_eq!(with(&first, &["backlog"]).await.code, 0);
    let flag = [&place[..], &[("PGDSN", nowhere)]].concat();
    assert_eq!(with(&flag, &["--pg-dsn", &dsn, "backlog"]).await.code, 0);
    // A single name, in its full and its early spelling.
    let other = Database::empty().await;
    let dsn = other.dsn();
    let named =
        [("PGDSN", dsn.as_str()), ("PGQUEUER_QUEUE_TABLE", "q"), ("QUEUE_TABLE_LOG", "l"), ("PGQUEUER_CHANNEL", "c")];
    assert_eq!(with(&named, &["install"]).await.code, 0);
    assert_eq!(with(&named, &["queue", "work"]).await.code, 0);
    assert_eq!(other.count("SELECT count(*) FROM q JOIN l ON l.job_id = q.id").await, 1);
}

#[tokio::test]
async fn durability_and_widening_can_be_set_by_variables() {
    for (name, unlogged) in [("PGQUEUER_DURABILITY", 2), ("DURABILITY", 2)] {
        let database = Database::empty().await;
        let said = with(&[("PGDSN", &database.dsn()), (name, "balanced")], &["install"]).await;
        assert_eq!(said.code, 0, "{said:?}");
        let count = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relpersistence = 'u' AND relname IN ('pgqueuer_log', 'pgqueuer_statistics')";
        assert_eq!(database.count(count).await, unlogged, "{name}");
    }
    let said = with(&[("PGQUEUER_DURABILITY", "rock-solid")], &["sql", "install"]).await;
    assert!(
        said.code == 2 && said.stderr.contains("PGQUEUER_DURABILITY") && said.stderr.contains("rock-solid"),
        "{said:?}"
    );
    let sql = async |variables: &[(&str, &str)], args: &[&str]| with(variables, args).await.stdout;
    let wide = sql(&[], &["sql", "upgrade"]).await;
    let narrow = sql(&[], &["sql", "upgrade", "--no-widen-id"]).await;
    assert_ne!(wide, narrow);
    assert_eq!(sql(&[("PGQUEUER_WIDEN_ID", "false")], &["sql", "upgrade"]).await, narrow);
    assert_eq!(sql(&[("WIDEN_ID", "0")], &["sql", "upgrade"]).await, narrow);
    assert_eq!(sql(&[("WIDEN_ID", "0")], &["sql", "upgrade", "--widen-id"]).await, wide);
    assert_eq!(with(&[("WIDEN_ID", "maybe")], &["sql", "upgrade"]).await.code, 2);
}

#[tokio::test]
async fn the_application_name_is_pgqueuers_variable_then_libpqs_then_ours() {
    let database = Database::new().await;
    for (variable, name) in
        [(Some("PGQUEUER_APPLICATION_NAME"), "billing"), (Some("PGAPPNAME"), "by libpq"), (None, "pgq-host")]
    {
        let mut command = pgq_host(&database.dsn());
        command
            .env_remove("PGAPPNAME")
            .arg("listen")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        if let Some(variable) = variable {
            command.env(variable, name);
        }
        let _child = command.spawn().unwrap();
        pgq_host_tests::eventually(name, async || {
            let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}' AND query LIKE 'LISTEN%' AND datname = current_database()");
            database.count(&sql).await > 0
        })
        .await;
    }
}

#[tokio::test]
async fn connecting_times_out() {
    // A socket that accepts and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dsn = format!("postgresql://u@127.0.0.1:{}/d", silent.local_addr().unwrap().port());
    for variable in ["PGQUEUER_CONNECT_TIMEOUT", "PGCONNECT_TIMEOUT"] {
        for args in [&["backlog"][..], &["verify", "--expect", "present"]] {
            let begun = Instant::now();
            let said = with(&[("PGDSN", &dsn), (variable, "1")], args).await;
            assert!(said.code == 1 && said.stderr.contains("cannot connect"), "{said:?}");
            assert!(begun.elapsed() < Duration::from_secs(8), "{variable} {args:?}: {:?}", begun.elapsed());
        }
    }
}

#[tokio::test]
async fn where_nothing_listens_the_cause_is_reported_at_once() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dsn = format!("postgresql://u@127.0.0.1:{free}/d");
    for args in [&["backlog"][..], &["queue", "work"], &["upgrade"], &["listen"]] {
        let begun = Instant::now();
        let said = with(&[("PGDSN", &dsn)], args).await;
        assert!(said.code == 1 && said.stderr.contains("refused"), "{said:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{args:?}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_host_has_no_more_connections_than_its_pool_may() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let mut command = pgq_host(&database.dsn());
    // With only one, the listener would take it.
    command.env("PGQUEUER_POOL_MAX_SIZE", "1").env("PGQUEUER_APPLICATION_NAME", "small pool");
    command.args(["run", "--mode", "drain", "--plugins"]).arg(plugins.path());
    database.enqueue_many("echo", 500, "x").await;
    let mut host = Host::launch(command);
    let mut most = 0;
    let connections =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'small pool' AND datname = current_database()";
    pgq_host_tests::eventually("all is done", async || {
        most = most.max(database.count(connections).await);
        database.count("SELECT count(*) FROM pgqueuer").await == 0
    })
    .await;
    assert!(host.ended().await.success(), "{}", host.log());
    assert!((1..=2).contains(&most), "{most}");
}

#[tokio::test]
async fn a_variable_that_cannot_be_honoured_is_refused_by_name() {
    let database = Database::new().await;
    for (name, value) in [
        ("PGSERVICE", "jobs"),
        ("PGSSLMODE", "verify_full"),
        ("PGTARGETSESSIONATTRS", "master"),
        ("PGCHANNELBINDING", "yes"),
        ("PGLOADBALANCEHOSTS", "always"),
        ("PGREQUIREAUTH", "scram-sha-256"),
        ("PGREQUIREPEER", "postgres"),
        ("PGSSLCRLDIR", "/etc/crl"),
        ("PGGSSENCMODE", "require"),
        ("PGQUEUER_POOL_MAX_SIZE", "0"),
        ("PGQUEUER_CONNECT_TIMEOUT", "soon"),
    ] {
        let said = with(&[("PGDSN", &database.dsn()), (name, value)], &["backlog"]).await;
        assert!(said.code == 2 && said.stderr.contains(name), "{said:?}");
    }
}

/// Files of a certificate authority and of a server certificate for 127.0.0.1, created by openssl.
struct Certificates(TempDir);

impl Certificates {
    fn new() -> Certificates {
        let certificates = Certificates(tempfile::tempdir().unwrap());
        for name in ["ca", "other"] {
            let subject = format!("/CN=pgq-host test {name}");
            let (key, crt) = (format!("{name}.key"), format!("{name}.crt"));
            certificates.openssl(&[
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", &subject, "-keyout", &key,
                "-out", &crt,
            ]);
        }
        std::fs::write(certificates.path("ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
        certificates.openssl(&[
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=server",
            "-keyout",
            "server.key",
            "-out",
            "server.csr",
        ]);
        certificates.openssl(&[
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "ext",
            "-out",
            "server.crt",
        ]);
        certificates
    }

    fn openssl(&self, args: &[&str]) {
        let output = std::process::Command::new("openssl")
            .args(args)
            .current_dir(self.0.path())
            .output()
            .expect("openssl is there");
        assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// Where the server looks for them by default, readable by its user alone.
    fn put_into(&self, data: &Path) {
        let owner = std::fs::metadata(data).unwrap();
        for file in ["server.crt", "server.key"] {
            let place = data.join(file);
            std::fs::copy(self.path(file), &place).unwrap();
            std::fs::set_permissions(&place, PermissionsExt::from_mode(0o600)).unwrap();
            chown(&place, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
    }
}

#[tokio::test]
async fn tls_is_used_and_checked_as_far_as_asked_for() {
    let (certificates, home) = (Certificates::new(), tempfile::tempdir().unwrap());
    let settings = |ssl: &str| Settings {
        settings: vec![("fsync".into(), "off".into()), ("ssl".into(), ssl.into())],
        ..Settings::new(home.path())
    };
    let server = embedded::start(settings("off")).await.expect("a server");
    let mut connection = PgConnection::connect(&server.dsn("postgres")).await.unwrap();
    let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let refused = with(&[("PGDSN", &server.dsn("postgres")), ("PGSSLMODE", "require")], &["install"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("TLS"), "a server without TLS: {refused:?}");
    certificates.put_into(Path::new(&data));
    server.stop().await;

    let server = embedded::start(settings("on")).await.expect("a server with TLS");
    let (dsn, ca, other) = (server.dsn("postgres"), certificates.path("ca.crt"), certificates.path("other.crt"));
    let database = Database::at(dsn.clone()).await;
    assert_eq!(with(&[("PGDSN", &dsn), ("PGSSLMODE", "require")], &["install"]).await.code, 0);
    database.enqueue("work", "x").await;
    let localhost = dsn.replace("127.0.0.1", "localhost");
    for (dsn, mode, root, works) in [
        (&dsn, "require", None, true),
        (&dsn, "verify-full", Some(&ca), true),
        (&dsn, "verify-ca", Some(&ca), true),
        (&dsn, "verify-full", Some(&other), false),
        (&dsn, "verify-ca", Some(&other), false),
        // The machine's own authorities do not know it.
        (&dsn, "verify-full", None, false),
        // The certificate is for 127.0.0.1.
        (&localhost, "verify-full", Some(&ca), false),
        (&localhost, "verify-ca", Some(&ca), true),
    ] {
        let mut variables = vec![("PGDSN", dsn.as_str()), ("PGSSLMODE", mode), ("PGQUEUER_CONNECT_TIMEOUT", "5")];
        variables.extend(root.map(|root| ("PGSSLROOTCERT", root.to_str().unwrap())));
        let said = with(&variables, &["backlog", "--json"]).await;
        assert_eq!(said.code == 0, works, "{mode} {root:?} at {dsn}: {said:?}");
        assert!(works || said.stderr.contains("certificate"), "{mode}: {said:?}");
    }
    // The same in a DSN, and the connection really uses TLS.
    let in_dsn = format!("{dsn}?sslmode=verify-full&sslrootcert={}", ca.display());
    let mut command = pgq_host(&in_dsn);
    command.arg("listen").stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let _child = command.spawn().unwrap();
    let encrypted =
        "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND query LIKE 'LISTEN%'";
    pgq_host_tests::eventually("an encrypted connection", async || database.count(encrypted).await == 1).await;
    database.pool().close().await;
    server.stop().await;
}
