//! What libpq's users write: service files, settings instead of a DSN, several hosts, password files
//! for each of them.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use pgq_host_tests::{CliOutput, Database, Host, Plugins, host_binary, run_command};
use serde_json::json;
use tokio::process::Command;

/// `pgq-host` with only these variables.
async fn with(variables: &[(&str, &str)], args: &[&str]) -> CliOutput {
    run_command(command(variables, args)).await
}

fn command(variables: &[(&str, &str)], args: &[&str]) -> Command {
    let mut command = Command::new(host_binary());
    command.env_clear().envs(variables.iter().copied()).args(args);
    command
}

/// User, password, port and database.
fn parts(dsn: &str) -> [String; 4] {
    let (login, place) = dsn.strip_prefix("postgresql://").unwrap().split_once('@').unwrap();
    let ((user, password), (address, database)) = (login.split_once(':').unwrap(), place.split_once('/').unwrap());
    [user, password, address.rsplit_once(':').unwrap().1, database].map(str::to_owned)
}

/// Where nothing listens.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_service_says_where_the_database_is() {
    let database = Database::new().await;
    let [user, password, port, name] = parts(&database.dsn());
    database.enqueue("work", "x").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("services");
    let text = format!(
        "[other]\nhost=nowhere.invalid\n\n[jobs]\n# ours\nhost=127.0.0.1\nport={port}\nuser={user}\npassword={password}\ndbname={name}\n"
    );
    std::fs::write(&file, &text).unwrap();
    let path = file.to_str().unwrap();
    let works = async |variables: &[(&str, &str)], args: &[&str]| {
        let said = with(variables, &[args, &["backlog", "--json"]].concat()).await;
        assert_eq!(said.json()[0]["queued_count"], json!(1), "{variables:?} {args:?}: {said:?}");
    };
    works(&[("PGSERVICE", "jobs"), ("PGSERVICEFILE", path)], &[]).await;
    works(&[("PGSERVICEFILE", path), ("PGDSN", "postgresql:///?service=jobs")], &[]).await;
    works(&[], &["--pg-dsn", &format!("service=jobs servicefile='{path}'")]).await;
    // The variables fill in what the service leaves out, and a DSN goes before it.
    works(&[("PGSERVICE", "jobs"), ("PGSERVICEFILE", path), ("PGPORT", "1"), ("PGUSER", "nobody")], &[]).await;
    std::fs::rename(&file, folder.path().join("pg_service.conf")).unwrap();
    works(&[("PGSERVICE", "jobs"), ("PGSYSCONFDIR", folder.path().to_str().unwrap())], &[]).await;
    std::fs::rename(folder.path().join("pg_service.conf"), folder.path().join(".pg_service.conf")).unwrap();
    works(&[("PGSERVICE", "jobs"), ("HOME", folder.path().to_str().unwrap())], &[]).await;

    std::fs::write(&file, text.replace("dbname=", "database=")).unwrap();
    for (service, said) in [("jobs", "\"database\" that nobody knows"), ("none", "\"none\" is not found")] {
        let refused = with(&[("PGSERVICE", service), ("PGSERVICEFILE", path)], &["backlog"]).await;
        assert!(refused.code == 2 && refused.stderr.contains(said), "{refused:?}");
        assert!(!refused.stderr.contains(&password), "{refused:?}");
    }
}

#[tokio::test]
async fn a_host_works_with_a_service_that_changes_and_with_settings_instead_of_a_dsn() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let [user, password, port, name] = parts(&database.dsn());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("services");
    let write = |ports: &str, hosts: &str| {
        let text = format!("[jobs]\nhost={hosts}\nport={ports}\nuser={user}\npassword=wrong-word\ndbname={name}\n");
        std::fs::write(&file, text).unwrap();
    };
    // It goes before the service's.
    let secret = folder.path().join("secret");
    std::fs::write(&secret, format!("{password}\n")).unwrap();
    let gone = free_port();
    write(&format!("{port},{gone}"), "127.0.0.1,127.0.0.1");
    let dsn = format!("service=jobs servicefile={} target_session_attrs=read-write", file.display());
    let mut run =
        command(&[("PATH", "/usr/bin:/bin"), ("PGDSN", &dsn)], &["run", "--dequeue-timeout", "1", "--plugins"]);
    run.arg(plugins.path()).env("PGQ_HOST_CONFIG", plugins.config()).env("PGQUEUER_APPLICATION_NAME", &name);
    run.env("PGQ_HOST_PASSWORD_FILE", &secret);
    let host = Host::launch(run);
    host.wait_for_log("ready").await;
    let id = database.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    // Another order from now on, which leads to nothing at first.
    write(&format!("{gone},{port}"), "127.0.0.1,127.0.0.1");
    let cut =
        format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '{name}'");
    assert!(database.count(&cut).await >= 2);
    host.wait_for_log("listening again").await;
    let id = database.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    let log = host.stop().await;
    assert!(!log.contains(&password), "{log}");
}

#[tokio::test]
async fn of_several_hosts_the_first_right_one_is_taken() {
    let database = Database::new().await;
    let [user, password, port, name] = parts(&database.dsn());
    database.enqueue("work", "x").await;
    // One that refuses, and one that accepts and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (gone, mute) = (free_port(), silent.local_addr().unwrap().port());
    let dsn = |ports: &str, more: &str| {
        let hosts: Vec<String> = ports.split(',').map(|port| format!("127.0.0.1:{port}")).collect();
        format!("postgresql://{user}:{password}@{}/{name}?{more}", hosts.join(","))
    };
    let list = format!("{gone},{mute},{port}");
    let begun = Instant::now();
    for more in ["connect_timeout=1", "connect_timeout=1&target_session_attrs=read-write"] {
        let said = with(&[("PGDSN", &dsn(&list, more))], &["backlog", "--json"]).await;
        assert_eq!(said.json()[0]["queued_count"], json!(1), "{said:?}");
    }
    assert!(begun.elapsed().as_secs() >= 2, "each waits for the one that is silent");
    // By variables.
    let hosts = "127.0.0.1,127.0.0.1";
    let ports = format!("{gone},{port}");
    let variables = [("PGHOST", hosts), ("PGPORT", &ports), ("PGUSER", &user), ("PGDATABASE", &name)];
    let variables = [&variables[..], &[("PGPASSWORD", &*password), ("PGTARGETSESSIONATTRS", "primary")]].concat();
    assert_eq!(with(&variables, &["backlog"]).await.code, 0);
    // Each verb that opens sessions: single ones, pools, a listener, upgrades.
    let many = dsn(&format!("{gone},{port}"), "target_session_attrs=read-write");
    for args in [&["upgrade"][..], &["queue", "work"], &["backlog"], &["verify", "--expect", "present"]] {
        let said = with(&[("PGDSN", &many)], args).await;
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
    }
    // None is right: each says why.
    let said = with(&[("PGDSN", &dsn(&format!("{gone},{port}"), "target_session_attrs=standby"))], &["backlog"]).await;
    assert_eq!(said.code, 1, "{said:?}");
    for part in [&format!("127.0.0.1:{gone}: "), "refused", &format!("127.0.0.1:{port}: the server is not a standby")] {
        assert!(said.stderr.contains(part), "{part}: {said:?}");
    }
    // A wrong password is no reason to go on to the next.
    let wrong = dsn(&format!("{port},{gone}"), "").replace(&password, "wrong-word");
    let said = with(&[("PGDSN", &wrong)], &["backlog"]).await;
    assert!(said.code == 1 && said.stderr.contains("28P01") && !said.stderr.contains("wrong-word"), "{said:?}");
}

#[tokio::test]
async fn a_password_file_has_one_for_each_host() {
    let database = Database::new().await;
    let [user, password, port, name] = parts(&database.dsn());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pass");
    std::fs::write(&file, format!("localhost:{port}:*:*:wrong-word\ndb.example:{port}:{name}:{user}:{password}\n"))
        .unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    // The name is for the password file, and the address for the way.
    let gone = free_port();
    let dsn = format!(
        "host=db.example,db.example hostaddr=127.0.0.1,127.0.0.1 port={gone},{port} user={user} dbname={name} passfile='{}'",
        file.display()
    );
    assert_eq!(with(&[], &["--pg-dsn", &dsn, "backlog"]).await.code, 0);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let said = with(&[], &["--pg-dsn", &dsn, "backlog"]).await;
    assert!(said.code == 1 && said.stderr.contains("none is set"), "{said:?}");
}

#[tokio::test]
async fn doctor_says_which_server_it_is_and_who_said_so() {
    let database = Database::new().await;
    let [user, password, port, name] = parts(&database.dsn());
    let dsn = format!("postgresql://{user}@127.0.0.1:{},127.0.0.1:{port}?target_session_attrs=primary", free_port());
    let said = with(&[("PGDSN", &dsn), ("PGPASSWORD", &password), ("PGDATABASE", &name)], &["doctor", "--json"]).await;
    let found = said.json()[0]["found"].as_str().unwrap().to_owned();
    for part in [
        &format!("a primary at 127.0.0.1:{port}, not encrypted"),
        "dbname from PGDATABASE",
        "password from PGPASSWORD",
        "host, port, target_session_attrs, user from the DSN",
    ] {
        assert!(found.contains(part) && !found.contains(&password), "{part}: {found}");
    }
}
