//! Environment variables: an empty one is unset, and an invalid one is named.

use pgq_host_tests::{CliOutput, Database, Plugins, pgq_host, run_command};

/// All variables that stand for a flag of this verb, according to its help.
async fn variables(verb: &[&str]) -> Vec<String> {
    let mut command = pgq_host("");
    command.args(verb).arg("--help");
    let help = run_command(command).await.stdout;
    let names = help.split("[env:").skip(1).filter_map(|rest| rest.split(['=', ']']).next());
    names.map(|name| name.trim().to_owned()).collect()
}

async fn run_cli(dsn: &str, args: &[&str], variables: &[(&str, &str)]) -> CliOutput {
    let mut command = pgq_host(dsn);
    command.args(args).envs(variables.iter().copied());
    run_command(command).await
}

#[tokio::test]
async fn an_empty_variable_is_an_unset_one_for_every_verb() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    let folder = plugins.path().to_str().unwrap();
    let config = plugins.config();
    let cases: [(&[&str], &[&str]); 5] = [
        (&["run"], &["--mode", "drain", "--plugins", folder]),
        (&["backlog"], &[]),
        (&["plugin", "list"], &["--plugins", folder]),
        (&["doctor"], &[]),
        (&["upgrade"], &["--plan"]),
    ];
    for (verb, rest) in cases {
        let mut empty = variables(verb).await;
        assert!(empty.len() >= 4, "{verb:?}: {empty:?}");
        empty.extend(
            [
                "PGQUEUER_DSN",
                "PGQUEUER_CHANNEL",
                "PGQUEUER_QUEUE_TABLE",
                "QUEUE_TABLE",
                "PGQUEUER_POOL_MAX_SIZE",
                "PGQUEUER_POOL_MIN_SIZE",
                "PGQUEUER_CONNECT_TIMEOUT",
                "PGQUEUER_APPLICATION_NAME",
                "PGQUEUER_DURABILITY",
                "PGQUEUER_WIDEN_ID",
                "PGCONNECT_TIMEOUT",
                "PGSERVICE",
                "PGSSLMODE",
                "PGSSLROOTCERT",
                "PGSSLCERT",
                "PGSSLKEY",
                "PGHOST",
                "PGHOSTADDR",
                "PGPORT",
                "PGUSER",
                "PGPASSWORD",
                "PGDATABASE",
                "PGPASSFILE",
                "PGOPTIONS",
                "PGAPPNAME",
                "RUST_LOG",
                "NO_COLOR",
                "JOURNAL_STREAM",
                "XDG_CACHE_HOME",
                "CACHE_DIRECTORY",
                "NOTIFY_SOCKET",
                "WATCHDOG_USEC",
                "WATCHDOG_PID",
            ]
            .map(str::to_owned),
        );
        let mut command = pgq_host("");
        command.args(verb).args(rest).args(["--pg-dsn", &database.dsn()]).envs(empty.iter().map(|name| (name, "")));
        command.current_dir(config.parent().unwrap());
        let said = run_command(command).await;
        assert!(said.code == 0 || verb == ["doctor"], "{verb:?}: {said:?}");
        assert!(!said.stderr.contains("variable") && !said.stderr.contains("invalid"), "{verb:?}: {said:?}");
    }
}

#[tokio::test]
async fn a_boolean_variable_accepts_the_usual_spellings() {
    let database = Database::new().await;
    // Behind a pooler, there is no session for this command; without one, there is.
    for (value, pooled) in [
        ("1", true),
        ("YES", true),
        ("on", true),
        ("True", true),
        ("0", false),
        ("no", false),
        ("Off", false),
        ("FALSE", false),
    ] {
        let said =
            run_cli(&database.dsn(), &["verify", "--expect", "present"], &[("PGQ_HOST_TRANSACTION_POOLING", value)])
                .await;
        assert_eq!(
            (said.code, said.stderr.contains("--listen-dsn")),
            (2 * i32::from(pooled), pooled),
            "{value}: {said:?}"
        );
    }
}

#[tokio::test]
async fn an_invalid_value_is_reported_with_its_variable_and_what_is_accepted() {
    let cases = [
        ("run", "PGQ_HOST_TRANSACTION_POOLING", "maybe", "use true or false"),
        ("run", "PGQ_HOST_RESTART_ON_FAILURE", "2", "use true or false"),
        ("run", "PGQ_HOST_BATCH_SIZE", "many", "whole number"),
        ("run", "PGQ_HOST_MAX_CONCURRENT_TASKS", "-1", "whole number"),
        ("run", "PGQ_HOST_DRAIN_TIMEOUT", "soon", "write seconds"),
        ("run", "PGQ_HOST_MODE", "sometimes", "use continuous, drain"),
        ("run", "PGQ_HOST_LOG_LEVEL", "loud", "use DEBUG"),
        ("run", "PGQ_HOST_LOG_FORMAT", "xml", "use text, json"),
        ("run", "PGQ_HOST_LISTEN", "9000", "ADDRESS:PORT"),
        ("probe", "PGQ_HOST_LISTEN", "here", "ADDRESS:PORT"),
        ("dev", "PGQ_HOST_DEV_PORT", "70000", "port"),
        ("doctor", "PGQ_HOST_HEARTBEAT_TIMEOUT", "x", "write seconds"),
    ];
    for (verb, name, value, accepted) in cases {
        let said = run_cli("postgresql:///nowhere", &[verb], &[(name, value)]).await;
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.stderr.contains(&format!("{name} is {value:?}: ")) && said.stderr.contains(accepted), "{said:?}");
    }
    let bytes = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"sch\xffema");
    let mut command = pgq_host("postgresql:///nowhere");
    command.arg("backlog").env("PGQUEUER_SCHEMA", bytes);
    let garbled = run_command(command).await;
    assert!(garbled.code == 2 && garbled.stderr.contains("PGQUEUER_SCHEMA"), "{garbled:?}");
    // A mistake in a flag is reported as the flag's.
    let flag =
        run_cli("postgresql:///nowhere", &["run", "--batch-size", "many"], &[("PGQ_HOST_BATCH_SIZE", "7")]).await;
    assert!(
        flag.code == 2 && flag.stderr.contains("--batch-size") && !flag.stderr.contains("PGQ_HOST_BATCH_SIZE"),
        "{flag:?}"
    );
    let widen = run_cli("postgresql:///nowhere", &["upgrade"], &[("PGQUEUER_WIDEN_ID", "perhaps")]).await;
    assert!(widen.stderr.contains("PGQUEUER_WIDEN_ID is \"perhaps\": use true or false"), "{widen:?}");
}
