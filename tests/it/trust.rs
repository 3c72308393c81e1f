//! `[trust]`: what nobody trusted has signed is not served, however it got into the folder, and the
//! version before it stays.

use pgq_host_tests::{Database, Host, Key, Plugins, eventually, guest, host_binary, trust};
use pgq_trust::{Algorithm, PublicKey};
use rustix::process::Signal;
use serde_json::Value;

use crate::reload::{sha256, version};

/// The host's announcement of its first file, as soon as it satisfies the condition.
async fn announced(database: &Database, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    eventually(what, async || {
        let row: Option<Value> = sqlx::query_scalar("SELECT plugins -> 0 FROM pgqueuer_host")
            .fetch_optional(database.pool())
            .await
            .expect("a row");
        last = row.unwrap_or_default();
        holds(&last)
    })
    .await;
    last
}

fn serves(bytes: &[u8]) -> impl Fn(&Value) -> bool {
    let digest = sha256(bytes);
    move |file| file["sha256"] == digest.as_str() && file["error"].is_null()
}

fn refuses<'a>(served: &[u8], cause: &'a str) -> impl Fn(&Value) -> bool + 'a {
    let digest = sha256(served);
    move |file| file["sha256"] == digest.as_str() && file["error"].as_str().is_some_and(|error| error.contains(cause))
}

async fn echo(database: &Database) {
    database.wait_for(database.enqueue("echo", "x").await, "successful").await;
}

/// A folder that trusts these keys, with a first version that the first of them signed.
fn signed(rest: &str, keys: &[(&str, &Key)]) -> (Plugins, Vec<u8>) {
    let (plugins, one) = (Plugins::with(&[]), version("hostile", 1));
    plugins.write("pgq-host.toml", trust(rest, keys));
    plugins.replace("hostile.wasm.sig", keys[0].1.sign(&one));
    plugins.replace("hostile.wasm", &one);
    (plugins, one)
}

#[tokio::test]
async fn the_version_before_stays_whatever_is_wrong_with_a_signature() {
    let (database, key, other) =
        (Database::new().await, Key::new(Algorithm::EcdsaP256), Key::new(Algorithm::EcdsaP256));
    let (plugins, one) = signed("", &[("release", &key)]);
    let host = Host::start(&database, &plugins, &["--listen", "127.0.0.1:0"]).await;
    let served = announced(&database, "the first version", serves(&one)).await;
    assert_eq!(served["signed_by"][0], "release");

    // No signature at all.
    let two = version("hostile", 2);
    plugins.remove("hostile.wasm.sig");
    plugins.replace("hostile.wasm", &two);
    announced(&database, "unsigned", refuses(&one, "it is not signed")).await;
    // That of other bytes, that of another key, a truncated one, and what is none.
    let good = key.sign(&two);
    let wrong = [
        (key.sign(&one), "by none of the keys"),
        ("signed, honestly".to_owned(), "line 1 is not base64"),
        (other.sign(&two), "by none of the keys"),
        (String::new(), "it is empty"),
        (good[..good.len() - 9].to_owned(), "by none of the keys"),
    ];
    for (signature, cause) in wrong {
        plugins.replace("hostile.wasm.sig", &signature);
        announced(&database, cause, refuses(&one, cause)).await;
        echo(&database).await;
    }
    // Not one of them is a fact about the bytes: no verdict, and the right signature is enough.
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_verdict").await, 0);
    plugins.replace("hostile.wasm.sig", &good);
    announced(&database, "the second version", serves(&two)).await;

    // A signature that goes bad after the load is told, and what is served stays.
    plugins.replace("hostile.wasm.sig", other.sign(&two));
    announced(&database, "swapped", refuses(&two, "by none of the keys")).await;
    echo(&database).await;
    plugins.replace("hostile.wasm.sig", other.sign(&two) + &good);
    announced(&database, "one of two is enough", serves(&two)).await;
    host.stop().await;
}

#[tokio::test]
async fn file_and_signature_may_arrive_in_any_order_and_little_by_little() {
    use std::io::Write as _;
    let (database, key) = (Database::new().await, Key::new(Algorithm::Ed25519));
    let (plugins, one) = signed("", &[("release", &key)]);
    let host = Host::start(&database, &plugins, &[]).await;
    announced(&database, "the first version", serves(&one)).await;
    let (two, three, four) = (version("hostile", 2), version("hostile", 3), version("hostile", 4));
    // The signature first.
    plugins.replace("hostile.wasm.sig", key.sign(&two));
    announced(&database, "a signature of other bytes", refuses(&one, "other bytes")).await;
    plugins.replace("hostile.wasm", &two);
    announced(&database, "the second version", serves(&two)).await;
    // The file first.
    plugins.replace("hostile.wasm", &three);
    announced(&database, "a file that is not signed yet", refuses(&two, "other bytes")).await;
    plugins.replace("hostile.wasm.sig", key.sign(&three));
    announced(&database, "the third version", serves(&three)).await;
    // Both in place and in parts.
    let signature = key.sign(&four);
    for (name, bytes) in [("hostile.wasm", &four[..]), ("hostile.wasm.sig", signature.as_bytes())] {
        let mut file = std::fs::File::create(plugins.path().join(name)).expect("created");
        for part in bytes.chunks(bytes.len() / 10) {
            file.write_all(part).expect("written");
            file.sync_data().expect("synced");
        }
    }
    announced(&database, "the fourth version", serves(&four)).await;
    echo(&database).await;
    host.stop().await;
}

#[tokio::test]
async fn a_key_that_is_removed_takes_what_it_signed_out_of_service_and_no_restart_brings_it_back() {
    let (database, old, new) = (Database::new().await, Key::new(Algorithm::EcdsaP256), Key::new(Algorithm::Ed25519));
    let (plugins, one) = signed("", &[("old", &old), ("new", &new)]);
    let host = Host::start(&database, &plugins, &[]).await;
    announced(&database, "the first version", serves(&one)).await;
    // Renaming a key, or adding one, changes nothing.
    plugins.write("pgq-host.toml", trust("", &[("older", &old), ("new", &new)]));
    host.signal(Signal::HUP);
    announced(&database, "the new name", |file| serves(&one)(file) && file["signed_by"][0] == "older").await;
    // A configuration that names a key that is not there is refused as a whole, and nothing changes.
    plugins.write("pgq-host.toml", trust("signers = [\"old\"]", &[("new", &new)]));
    host.signal(Signal::HUP);
    host.wait_for_log("grants stay as they were").await;
    echo(&database).await;

    plugins.write("pgq-host.toml", trust("", &[("new", &new)]));
    host.signal(Signal::HUP);
    let gone = |file: &Value| file["plugin"].is_null() && file["error"].is_string();
    announced(&database, "nothing is served", gone).await;
    host.stop().await;
    // The version store has it, with the signature of then.
    let host = Host::start(&database, &plugins, &[]).await;
    announced(&database, "nothing is served after a restart", gone).await;
    let waits = database.enqueue("echo", "x").await;
    plugins.replace("hostile.wasm.sig", new.sign(&one));
    announced(&database, "it is signed anew", serves(&one)).await;
    database.wait_for(waits, "successful").await;
    host.stop().await;
}

#[tokio::test]
async fn a_restart_on_an_untrusted_file_serves_the_trusted_version_before_it() {
    let (database, key) = (Database::new().await, Key::new(Algorithm::EcdsaP256));
    let (plugins, one) = signed("", &[("release", &key)]);
    let host = Host::start(&database, &plugins, &[]).await;
    announced(&database, "the first version", serves(&one)).await;
    host.stop().await;
    plugins.replace("hostile.wasm", version("hostile", 2));
    let host = Host::start(&database, &plugins, &[]).await;
    announced(&database, "the version before", refuses(&one, "other bytes")).await;
    echo(&database).await;
    host.stop().await;
}

#[tokio::test]
async fn nothing_of_an_unsigned_file_is_compiled() {
    let (database, key, cache) =
        (Database::new().await, Key::new(Algorithm::EcdsaP256), tempfile::tempdir().expect("a folder"));
    let (plugins, one) = (Plugins::with(&[]), version("hostile", 77));
    plugins.write("pgq-host.toml", trust("", &[("release", &key)]));
    plugins.replace("hostile.wasm", &one);
    let folder = cache.path().join("code");
    let args = ["--cache-dir", folder.to_str().expect("text")];
    let host = Host::start(&database, &plugins, &args).await;
    assert!(host.log().contains("it is not signed"), "{}", host.log());
    let compiled = || {
        let entries = std::fs::read_dir(&folder).expect("a folder").flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "cwasm")).count()
    };
    assert_eq!(compiled(), 0);
    plugins.replace("hostile.wasm.sig", key.sign(&one));
    announced(&database, "it is signed", serves(&one)).await;
    assert_ne!(compiled(), 0, "the folder is the one that is used");
    host.stop().await;
    // Compiled code that somebody else put in its place is not run.
    for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "cwasm") {
            let mut code = std::fs::read(entry.path()).expect("read");
            let middle = code.len() / 2;
            code[middle] ^= 1;
            std::fs::write(entry.path(), code).expect("written");
        }
    }
    let host = Host::start(&database, &plugins, &args).await;
    announced(&database, "it is compiled again", serves(&one)).await;
    echo(&database).await;
    assert!(host.stop().await.contains("digest does not match"));
}

#[tokio::test]
async fn grants_bound_to_a_signer_are_for_no_other_and_an_old_version_is_not_served_again() {
    let (database, ci, release) = (Database::new().await, Key::new(Algorithm::EcdsaP256), Key::new(Algorithm::Ed25519));
    let (plugins, one) = signed("", &[("ci", &ci), ("release", &release)]);
    let keys = trust("", &[("ci", &ci), ("release", &release)]);
    plugins.write("pgq-host.toml", format!("{keys}\n[plugins.hostile]\nenqueue = [\"*\"]\nsigner = \"release\"\n"));
    let host = Host::start(&database, &plugins, &[]).await;
    assert!(
        host.log().contains("it is not signed by \\\"release\\\"")
            || host.log().contains("it is not signed by \"release\""),
        "{}",
        host.log()
    );
    plugins.replace("hostile.wasm.sig", release.sign(&one));
    announced(&database, "the right key", serves(&one)).await;
    // Its version is 0.0.0 or whatever it declares: less than what is wanted now, though well signed.
    plugins.write("pgq-host.toml", format!("{keys}\n[trust.plugins.hostile]\nminimum-version = \"99.0.0\"\n"));
    host.signal(Signal::HUP);
    announced(&database, "too old", |file| {
        file["plugin"].is_null() && file["error"].as_str().is_some_and(|error| error.contains("99.0.0"))
    })
    .await;
    plugins.write("pgq-host.toml", format!("{keys}\n[trust.plugins.hostile]\nsigners = [\"ci\"]\n"));
    host.signal(Signal::HUP);
    announced(&database, "a rule of its own", |file| {
        file["error"].as_str().is_some_and(|error| error.contains("must be signed by \"ci\""))
    })
    .await;
    host.stop().await;
}

/// The audit's rows that hosts wrote, the oldest first: action, reason, and the digest that it is about.
async fn told_by_hosts(database: &Database) -> Vec<(String, String, String)> {
    sqlx::query_as(
        "SELECT action, reason, filter ->> 'sha256' FROM pgqueuer_audit WHERE author LIKE 'host %' ORDER BY id",
    )
    .fetch_all(database.pool())
    .await
    .expect("the audit")
}

#[tokio::test]
async fn who_signed_a_version_is_in_the_catalog_and_another_signer_and_a_refusal_in_the_audit() {
    let (database, ci, release) = (Database::new().await, Key::new(Algorithm::EcdsaP256), Key::new(Algorithm::Ed25519));
    let keys = [("release", &release), ("ci", &ci)];
    let (plugins, one) = signed("", &keys);
    let host = Host::start(&database, &plugins, &[]).await;
    let version_of = async |bytes: &[u8]| {
        let versions = database.cli_ok(&["plugin", "versions", "hostile", "--json"]).await.json();
        let versions = versions[0]["versions"].as_array().cloned().unwrap_or_default();
        versions.into_iter().find(|one| one["sha256"] == sha256(bytes).as_str()).unwrap_or_default()
    };
    let by = async |bytes: &[u8]| {
        let signers = version_of(bytes).await["signed_by"].as_array().cloned().unwrap_or_default();
        signers.iter().map(|one| one["key"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    eventually("the first version has its signer", async || by(&one).await == ["release"]).await;
    let fingerprint = version_of(&one).await["signed_by"][0]["fingerprint"].as_str().expect("text").to_owned();
    assert_eq!(fingerprint, PublicKey::read(&release.public_pem()).expect("a key").fingerprint());
    let shown = format!("release ({})", &fingerprint[..12]);
    for verb in [&["plugin", "versions"][..], &["plugin", "list", "--hosts"]] {
        let table = database.cli_ok(verb).await.stdout;
        assert!(table.contains("Signed by") && table.contains("release"), "{table}");
    }
    let job = database.enqueue("echo", "x").await;
    database.wait_for(job, "successful").await;
    let told = database.cli_ok(&["job", &job.to_string(), "--json"]).await.json();
    assert_eq!(told["attempts"][0]["plugin_signed_by"][0]["key"], "release", "{told}");
    let told = database.cli_ok(&["job", &job.to_string()]).await.stdout;
    assert!(told.contains(&shown), "{told}");
    assert!(told_by_hosts(&database).await.is_empty(), "a first signer is no other one");

    // Refused, twice for the same reason: said once.
    let (two, three) = (version("hostile", 2), version("hostile", 3));
    plugins.replace("hostile.wasm", &two);
    announced(&database, "other bytes", refuses(&one, "other bytes")).await;
    eventually("the audit is told", async || !told_by_hosts(&database).await.is_empty()).await;
    plugins.replace("hostile.wasm", &one);
    announced(&database, "the first version", serves(&one)).await;
    plugins.replace("hostile.wasm", &two);
    announced(&database, "other bytes again", refuses(&one, "other bytes")).await;
    host.stop().await;
    let host = Host::start(&database, &plugins, &[]).await;
    announced(&database, "after a restart", refuses(&one, "other bytes")).await;

    // A second version by the other key, a third by the same, which is no news, and then by the first one as well.
    plugins.replace("hostile.wasm.sig", ci.sign(&two));
    announced(&database, "the second version", serves(&two)).await;
    eventually("it has its signer", async || by(&two).await == ["ci"]).await;
    plugins.replace("hostile.wasm.sig", ci.sign(&three));
    plugins.replace("hostile.wasm", &three);
    announced(&database, "the third version", serves(&three)).await;
    eventually("it has its signer", async || by(&three).await == ["ci"]).await;
    plugins.replace("hostile.wasm.sig", ci.sign(&three) + &release.sign(&three));
    eventually("it has both", async || by(&three).await == ["ci", "release"]).await;

    // One that nobody signed, since that is allowed now.
    let four = version("hostile", 4);
    plugins.write("pgq-host.toml", trust("unsigned = true", &keys));
    host.signal(Signal::HUP);
    plugins.remove("hostile.wasm.sig");
    plugins.replace("hostile.wasm", &four);
    announced(&database, "the fourth version", serves(&four)).await;
    let noted = "SELECT count(*) FROM pgqueuer_audit WHERE reason LIKE '%no key that a host knows%'";
    eventually("the audit is told", async || database.count(noted).await == 1).await;
    assert_eq!(by(&four).await, Vec::<String>::new());

    let rows = told_by_hosts(&database).await;
    let is = |place: usize, action: &str, what: &str, bytes: &[u8]| {
        let (found, reason, digest) = &rows[place];
        assert!(found == action && reason.contains(what) && *digest == sha256(bytes), "{place}: {rows:#?}");
    };
    is(0, "refuse", "other bytes", &two);
    is(1, "signer_changed", &format!("before it was signed by {shown}"), &two);
    let changes: Vec<&str> = rows.iter().filter(|row| row.0 == "signer_changed").map(|row| &*row.2).collect();
    assert_eq!(changes, [sha256(&two), sha256(&three), sha256(&four)], "{rows:#?}");
    let shown = database.cli_ok(&["audit"]).await.stdout;
    assert!(shown.contains("signer_changed") && shown.contains("host "), "{shown}");
    host.stop().await;
}

#[tokio::test]
async fn keys_are_made_and_used_by_verbs_and_openssl_agrees() {
    let folder = tempfile::tempdir().expect("a folder");
    let (at, component) = (folder.path().to_owned(), guest("hello"));
    std::fs::copy(component, at.join("hello.wasm")).expect("copied");
    let run = |args: &[&str]| {
        let output = std::process::Command::new(host_binary()).args(args).current_dir(&at).output().expect("it starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    for algorithm in ["ecdsa-p256", "ed25519"] {
        let (private, public) = (format!("{algorithm}.key"), format!("{algorithm}.pub"));
        let (code, fingerprint, error) = run(&["plugin", "keygen", algorithm, "--algorithm", algorithm]);
        assert_eq!((code, fingerprint.trim().len()), (Some(0), 64), "{error}");
        assert_ne!(run(&["plugin", "keygen", algorithm]).0, Some(0), "no key is overwritten");
        let (code, _, error) = run(&["plugin", "sign", "hello.wasm", "--key", &private]);
        assert_eq!(code, Some(0), "{error}");
        let (code, said, _) = run(&["plugin", "verify", "hello.wasm", "--key", &public]);
        assert!(code == Some(0) && said.contains(&fingerprint[..12]), "{said}");
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(at.join(&private)).expect("a file").permissions(),
        );
        assert_eq!(mode & 0o077, 0, "nobody else can read it");
        // What cosign's users have: OpenSSL reads the key and the signature.
        if algorithm == "ecdsa-p256" {
            let script = format!(
                "base64 -d hello.wasm.sig > raw && openssl dgst -sha256 -verify {public} -signature raw hello.wasm"
            );
            let output =
                std::process::Command::new("sh").args(["-c", &script]).current_dir(&at).output().expect("it starts");
            assert!(output.status.success(), "{output:?}");
            let script = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out o.key && openssl pkey -in o.key -pubout -out o.pub && openssl dgst -sha256 -sign o.key hello.wasm | base64 -w0 > hello.wasm.sig";
            let output =
                std::process::Command::new("sh").args(["-c", script]).current_dir(&at).output().expect("it starts");
            assert!(output.status.success(), "{output:?}");
            assert_eq!(run(&["plugin", "verify", "hello.wasm", "--key", "o.pub"]).0, Some(0));
            assert_ne!(run(&["plugin", "verify", "hello.wasm", "--key", &public]).0, Some(0));
            let (code, _, error) = run(&["plugin", "sign", "hello.wasm", "--key", "o.key", "--add"]);
            assert_eq!(code, Some(0), "{error}");
        }
    }
    let (code, _, error) = run(&["plugin", "verify", "hello.wasm"]);
    assert!(code == Some(2) && error.contains("no [trust]"), "{error}");
}
