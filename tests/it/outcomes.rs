//! What a handler returns, and what the queue does: the table of README.md, row by row.

use std::sync::Arc;

use pgq_host_tests::{Database, Host, Plugins, eventually};
use pgq_job::{Disposition, Job, Terminal};
use pgq_queue::{ConcurrencyLimit, Record};

async fn hosted() -> (Database, Plugins, Host) {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    (database, plugins, host)
}

#[tokio::test]
async fn complete_logs_every_transition_and_keeps_the_output() {
    let (database, _plugins, host) = hosted().await;
    let id = database.enqueue("echo", "hello").await;
    database.wait_for(id, "successful").await;
    assert_eq!(database.history(id).await, ["queued", "picked", "successful"]);
    assert_eq!(database.output(id).await.as_deref(), Some("hello"));
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 0);
    host.stop().await;
}

#[tokio::test]
async fn retry_counts_until_the_attempts_are_used_up_and_then_holds() {
    let (database, _plugins, host) = hosted().await;
    let id = database.enqueue("fail", "no luck").await;
    database.wait_for(id, "failed").await;
    assert_eq!(database.history(id).await, ["queued", "picked", "queued", "picked", "failed"]);
    let (status, attempts): (String, i32) = sqlx::query_as("SELECT status::text, attempts FROM pgqueuer WHERE id = $1")
        .bind(id)
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!((status.as_str(), attempts), ("failed", 2));
    let traceback = database.traceback(id).await;
    for key in ["job_id", "timestamp", "exception_type", "exception_message", "traceback", "additional_context"] {
        assert!(traceback.get(key).is_some(), "PgQueuer's key {key} is missing: {traceback}");
    }
    assert_eq!(traceback["exception_message"], "no luck");
    assert_eq!(traceback["additional_context"]["plugin"], "hostile");
    assert_eq!(traceback["additional_context"]["plugin_sha256"].as_str().map(str::len), Some(64));
    host.stop().await;
}

/// The log is counted every half a minute. Nobody who looks at a failure waits for that.
#[tokio::test]
async fn what_is_tried_again_or_held_is_counted_by_the_statement_that_records_it() {
    let (database, _plugins, host) = hosted().await;
    let id = database.enqueue("fail", "no luck").await;
    database.wait_for(id, "failed").await;
    let uncounted = format!(
        "SELECT count(*) FROM pgqueuer_log AS l WHERE job_id = {id} AND NOT aggregated
         AND id > (SELECT min(id) FROM pgqueuer_log WHERE job_id = {id})"
    );
    assert_eq!(database.count(&uncounted).await, 0, "all but what the producer wrote");
    let counted = async |status: &str| {
        let of =
            |table: &str| format!("SELECT count FROM {table} WHERE entrypoint = 'fail' AND status::text = '{status}'");
        let (tally, statistics) = (of("pgqueuer_tally"), of("pgqueuer_statistics"));
        let all = format!("SELECT coalesce(sum(count), 0)::bigint FROM ({tally} UNION ALL {statistics}) AS c");
        database.count(&all).await
    };
    assert_eq!((counted("picked").await, counted("failed").await), (2, 1));
    let looked = database.cli_ok(&["overview", "--json"]).await.json();
    assert_eq!(looked["overview"]["entrypoints"][0]["lately"]["five_minutes"]["failed"], 1, "{looked}");
    host.stop().await;
}

#[tokio::test]
async fn on_failure_delete_leaves_an_exception_in_the_log_and_no_row() {
    let (database, _plugins, host) = hosted().await;
    let id = database.enqueue("fail_deleted", "no luck").await;
    database.wait_for(id, "exception").await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 0);
    assert_eq!(database.traceback(id).await["exception_message"], "no luck");
    host.stop().await;
}

#[tokio::test]
async fn reject_fails_at_once() {
    let (database, _plugins, host) = hosted().await;
    let id = database.enqueue("reject", "never").await;
    database.wait_for(id, "failed").await;
    assert_eq!(database.history(id).await, ["queued", "picked", "failed"]);
    host.stop().await;
}

#[tokio::test]
async fn snooze_runs_again_without_counting() {
    let (database, _plugins, host) = hosted().await;
    let id = database.enqueue("snooze", "").await;
    database.wait_for(id, "successful").await;
    assert_eq!(database.history(id).await, ["queued", "picked", "queued", "picked", "successful"]);
    assert_eq!(database.output(id).await.as_deref(), Some("1"), "the second run is still attempt 1");
    host.stop().await;
}

#[tokio::test]
async fn discard_is_logged_as_canceled_with_the_reason() {
    let (database, _plugins, host) = hosted().await;
    let id = database.enqueue("discard", "").await;
    database.wait_for(id, "canceled").await;
    assert_eq!(database.traceback(id).await["exception_message"], "nobody wants it");
    host.stop().await;
}

#[tokio::test]
async fn follow_ups_are_committed_with_the_outcome_complete() {
    let (database, _plugins, host) = hosted().await;
    let id = database.enqueue("follow_up", "complete").await;
    database.wait_for(id, "successful").await;
    database.wait_until_done().await;
    let rows: Vec<(i32, Option<Vec<u8>>)> = sqlx::query_as(
        "SELECT l.priority, o.output FROM pgqueuer_log l JOIN pgqueuer_output o USING (job_id)
         WHERE l.entrypoint = 'echo' AND l.status = 'successful' ORDER BY job_id",
    )
    .fetch_all(database.pool())
    .await
    .unwrap();
    assert_eq!(rows, [(3, Some(b"one".to_vec())), (3, Some(b"two".to_vec()))]);
    // The `queued` row of a follow-up and the `successful` row of its parent are of one transaction.
    let transactions = database
        .count(&format!(
            "SELECT count(DISTINCT xmin::text) FROM pgqueuer_log
             WHERE (job_id = {id} AND status = 'successful') OR (entrypoint = 'echo' AND status = 'queued')"
        ))
        .await;
    assert_eq!(transactions, 1);
    host.stop().await;
}

#[tokio::test]
async fn a_run_that_fails_or_traps_enqueues_nothing() {
    let (database, _plugins, host) = hosted().await;
    for then in ["retry", "trap"] {
        let id = database.enqueue("follow_up", then).await;
        database.wait_for(id, "failed").await;
    }
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'echo'").await, 0);
    host.stop().await;
}

#[tokio::test]
async fn a_job_can_enqueue_itself_under_the_dedupe_key_that_it_holds() {
    let (database, _plugins, host) = hosted().await;
    database
        .execute("INSERT INTO pgqueuer (priority, entrypoint, payload, dedupe_key, status) VALUES (0, 'chain', '5', 'chain', 'queued')")
        .await;
    database.wait_until_done().await;
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'chain' AND status = 'successful'").await,
        6
    );
    host.stop().await;
}

#[tokio::test]
async fn a_limit_over_all_workers_is_never_exceeded_nor_left_unused() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let hosts = [Host::start(&database, &plugins, &[]).await, Host::start(&database, &plugins, &[]).await];
    database.enqueue_many("nap_limited", 40, "20").await;
    database.wait_until_done().await;
    assert_eq!(database.most_at_once("nap_limited").await, 2);
    for host in hosts {
        host.stop().await;
    }
}

/// Log rows of jobs that were claimed by the transaction that ended another job.
const PASSED_ON: &str = "SELECT count(*) FROM pgqueuer_log AS next JOIN pgqueuer_log AS ended ON next.xmin = ended.xmin
     WHERE next.status = 'picked' AND ended.status = 'successful' AND next.job_id <> ended.job_id";

#[tokio::test]
async fn a_slot_goes_to_the_next_job_in_the_transaction_that_ends_the_last() {
    let (database, _plugins, host) = hosted().await;
    // All but the first two. Fewer if an outcome came before its slot was free, and none for a
    // while after a slow statement.
    eventually("slots are passed on", async || {
        database.enqueue_many("nap_limited", 40, "1").await;
        database.wait_until_done().await;
        database.count(PASSED_ON).await > 20
    })
    .await;
    assert_eq!(database.most_at_once("nap_limited").await, 2);
    host.stop().await;
}

#[tokio::test]
async fn slots_are_handed_over_under_the_fence_and_the_limit() {
    let database = Database::new().await;
    let queue = database.queue();
    let limited = ConcurrencyLimit { entrypoint: Arc::from("limited"), concurrency: 3 };
    let ids = database.enqueue_many("limited", 8, "x").await;
    let record = |job: &Job| {
        let output = Some(b"y".to_vec());
        let disposition =
            Disposition::Finished { status: Terminal::Successful, traceback: None, output, follow_ups: Vec::new() };
        Record { limited: Some(limited.clone()), ..Record::new(job.claim, disposition) }
    };
    let slots = "SELECT string_agg(id || ':' || slot, ' ' ORDER BY id) FROM pgqueuer WHERE status = 'picked'";
    let slots = async || {
        sqlx::query_scalar::<_, Option<String>>(slots).fetch_one(database.pool()).await.unwrap().unwrap_or_default()
    };

    let first = queue.claim_limited(&limited, 3).await.unwrap();
    let (held, taken) = (&first[0], &first[1]);
    let slot =
        |of: &str, id: i64| of.split(' ').find_map(|pair| pair.strip_prefix(&format!("{id}:")).map(str::to_owned));
    let before = slots().await;
    // Another worker has one of the two.
    database
        .execute(&format!("UPDATE pgqueuer SET queue_manager_id = gen_random_uuid() WHERE id = {}", taken.id))
        .await;
    let handed = queue.hand_over(&limited, &[record(held), record(taken)]).await.unwrap();
    assert_eq!(handed.ours, [held.id]);
    assert_eq!(handed.next.iter().map(|job| job.id).collect::<Vec<_>>(), [ids[3]]);
    let after = slots().await;
    assert_eq!(slot(&after, ids[3]), slot(&before, held.id), "{before}, then {after}");
    assert_eq!(slot(&after, taken.id), slot(&before, taken.id), "{before}, then {after}");
    let log = database
        .count(&format!("SELECT count(*) FROM pgqueuer_log WHERE job_id = {} AND status = 'picked'", ids[3]))
        .await;
    assert_eq!(
        (log, database.history(held.id).await),
        (1, ["queued", "picked", "successful"].map(str::to_owned).to_vec())
    );

    // Slots that a lowered limit no longer has are not passed on.
    let one = ConcurrencyLimit { concurrency: 1, ..limited.clone() };
    let mine: Vec<&Job> = vec![&first[2], &handed.next[0]];
    let records: Vec<Record> = mine.iter().map(|job| record(job)).collect();
    let low = mine.iter().filter(|job| slot(&after, job.id).as_deref() == Some("0")).count();
    let handed = queue.hand_over(&one, &records).await.unwrap();
    assert_eq!((handed.ours.len(), handed.next.len()), (2, low));

    // Nothing is due, so the slots are free.
    database.execute("UPDATE pgqueuer SET execute_after = now() + interval '1 hour' WHERE status = 'queued'").await;
    let records: Vec<Record> = handed.next.iter().map(record).collect();
    let last = queue.hand_over(&limited, &records).await.unwrap();
    assert_eq!((last.ours.len(), last.next.len()), (records.len(), 0));
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await, 1, "the other worker's");
}

/// What PgQueuer 2.0 does to a running job: the row stays, and its worker is notified.
#[tokio::test]
async fn a_cancelled_job_is_notified_and_logged_as_canceled_whatever_it_returns() {
    let (database, _plugins, host) = hosted().await;
    let (polite, deaf) = (database.enqueue("obedient", "").await, database.enqueue("nap", "3600000").await);
    eventually("both run", async || database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await == 2)
        .await;
    let event = format!(
        r#"{{"channel":"ch_pgqueuer","sent_at":"2026-11-23T00:00:00Z","type":"cancellation_event","ids":[{polite},{deaf}]}}"#
    );
    database.execute(&format!("SELECT pg_notify('ch_pgqueuer', '{event}')")).await;
    // The one that asks ends by itself. The other is interrupted after its grace period of 5 s.
    for id in [polite, deaf] {
        database.wait_for(id, "canceled").await;
        assert_eq!(database.history(id).await, ["queued", "picked", "canceled"]);
        assert_eq!(database.output(id).await, None);
    }
    host.stop().await;
}

#[tokio::test]
async fn statistics_count_each_transition_once_whoever_counts() {
    let database = Database::new().await;
    database.enqueue_many("echo", 500, "x").await;
    let queues: Vec<_> = (0..4).map(|_| database.queue()).collect();
    // Four at once, in small steps, while more arrives.
    let count = async |queue: &pgq_queue::Queue| while !queue.aggregate(70, 70).await.unwrap().is_nothing() {};
    tokio::join!(count(&queues[0]), count(&queues[1]), count(&queues[2]), count(&queues[3]), async {
        database.enqueue_many("fail", 100, "x").await;
    });
    count(&queues[0]).await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_log WHERE NOT aggregated").await, 0);
    assert_eq!(
        database.count("SELECT sum(count)::bigint FROM pgqueuer_statistics WHERE entrypoint = 'echo'").await,
        500
    );
    assert_eq!(
        database.count("SELECT sum(count)::bigint FROM pgqueuer_statistics WHERE entrypoint = 'fail'").await,
        100
    );
}

#[tokio::test]
async fn a_payload_of_megabytes_goes_through_and_sql_null_is_no_payload() {
    let (database, _plugins, host) = hosted().await;
    let large = database.enqueue("echo", vec![b'x'; 8 << 20]).await;
    database.execute("INSERT INTO pgqueuer (priority, entrypoint, status) VALUES (0, 'echo', 'queued')").await;
    database.wait_for(large, "successful").await;
    assert_eq!(database.output(large).await.map(|output| output.len()), Some(8 << 20));
    database.wait_until_done().await;
    assert!(
        database.traceback(large + 1).await["exception_message"]
            .as_str()
            .is_some_and(|message| message.contains("payload"))
    );
    host.stop().await;
}

#[tokio::test]
async fn headers_that_are_not_an_object_do_no_harm() {
    let (database, _plugins, host) = hosted().await;
    for headers in ["'[1,2]'", "'\"text\"'", "'null'", "NULL", "'{\"a\": 1}'"] {
        database
            .execute(&format!(
                "INSERT INTO pgqueuer (priority, entrypoint, payload, headers, status) VALUES (0, 'echo', 'x', {headers}, 'queued')"
            ))
            .await;
    }
    database.wait_until_done().await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await, 5);
    host.stop().await;
}
