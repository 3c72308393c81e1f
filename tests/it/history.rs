//! How much of a job's way is kept, and that statistics count all of it at each level.

use pgq_host_tests::{Database, Host, Plugins, eventually};

async fn counted(database: &Database, entrypoint: &str, status: &str) -> i64 {
    let sql =
        "SELECT coalesce(sum(count), 0)::bigint FROM pgqueuer_statistics WHERE entrypoint = $1 AND status::text = $2";
    sqlx::query_scalar(sql).bind(entrypoint).bind(status).fetch_one(database.pool()).await.unwrap()
}

async fn attempts(database: &Database, id: i64) -> i64 {
    database.count(&format!("SELECT count(*) FROM pgqueuer_attempt WHERE job_id = {id}")).await
}

/// The history of one successful job of each of two entrypoints, locked and marked, and of one with
/// a limit; and what the statistics say.
async fn kept(level: &str, claim: &str) -> Vec<(Vec<String>, i64)> {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let config = format!("[history]\nlevel = \"{level}\"\n[plugins.hostile]\nenqueue = [\"*\"]\nclaim = \"{claim}\"\n");
    std::fs::write(plugins.config(), config).unwrap();
    let host = Host::start(&database, &plugins, &[]).await;
    let mut kept = Vec::new();
    let (plain, limited) = (database.enqueue("probe", "").await, database.enqueue_many("nap_limited", 3, "0").await);
    database.wait_until_done().await;
    for (entrypoint, jobs) in [("probe", 1), ("nap_limited", 3)] {
        for status in ["picked", "successful"] {
            eventually("both are counted", async || counted(&database, entrypoint, status).await == jobs).await;
        }
    }
    for id in [vec![plain], limited].concat() {
        kept.push((database.history(id).await, attempts(&database, id).await));
    }
    host.stop().await;
    kept
}

#[tokio::test]
async fn each_level_keeps_what_it_says_however_jobs_are_claimed() {
    for claim in ["locked", "marked"] {
        for (level, history, attempts) in [
            ("full", ["queued", "picked", "successful"].as_slice(), 1),
            ("outcomes", &["queued", "successful"], 1),
            ("none", &["queued"], 0),
        ] {
            for kept in kept(level, claim).await {
                assert_eq!(
                    (kept.0, kept.1),
                    (history.iter().map(|s| (*s).to_owned()).collect(), attempts),
                    "{level} {claim}"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_failed_is_logged_whatever_the_level_and_entrypoints_may_differ() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let config = "[history]\nlevel = \"none\"\n[plugins.hostile.entrypoints.echo]\nhistory = \"full\"\n";
    std::fs::write(plugins.config(), config).unwrap();
    let host = Host::start(&database, &plugins, &[]).await;
    let full = database.enqueue("echo", "x").await;
    database.wait_for(full, "successful").await;
    assert_eq!(database.history(full).await, ["queued", "picked", "successful"]);
    let fails = database.enqueue("fail", "on purpose").await;
    database.wait_for(fails, "failed").await;
    assert_eq!(database.history(fails).await, ["queued", "queued", "failed"], "one attempt, and the last");
    assert_eq!(database.traceback(fails).await["exception_message"], "on purpose");
    assert_eq!(attempts(&database, fails).await, 0);
    let discarded = database.enqueue("discard", "").await;
    database.wait_for(discarded, "canceled").await;
    assert_eq!(database.history(discarded).await, ["queued", "canceled"]);
    host.stop().await;
}
