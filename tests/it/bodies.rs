//! Payloads and headers of any size: a host takes as much as it has memory for, and locks nothing
//! while it reads.

use std::sync::Arc;

use pgq_host_tests::{Database, Host, Plugins, eventually};
use pgq_job::{Disposition, Job, Terminal};
use pgq_queue::byte_budget::ByteBudget;
use pgq_queue::{Body, ConcurrencyLimit, Queue, Record};
use rustix::process::Signal;
use sqlx::Executor as _;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn within(database: &Database, bytes: usize) -> Queue {
    database.queue().within(ByteBudget::new(bytes as u64, pgq_engine::host_memory::limit()))
}

#[tokio::test]
async fn a_claim_takes_what_the_budget_has_room_for_and_small_jobs_pass() {
    let database = Database::new().await;
    let (queue, echo) = (within(&database, MIB), [Arc::from("echo")]);
    let heavy = database.enqueue_many("echo", 4, vec![b'x'; 400 * KIB]).await;
    let small = database.enqueue_many("echo", 3, "x").await;
    let ids = |claimed: &[pgq_job::Job]| claimed.iter().map(|job| job.id).collect::<Vec<_>>();

    let first = queue.claim(&echo, 100).await.unwrap();
    assert_eq!(ids(&first), [&heavy[..2], &small[..]].concat());
    assert!(first.too_heavy && !first.too_many);
    assert!(first[0].payload.is_none() && first[0].unread.is_some(), "the rows are not locked while it is sent");
    assert_eq!(first[2].payload.as_deref(), Some(&b"x"[..]));
    let none = queue.claim(&echo, 100).await.unwrap();
    assert!(none.is_empty() && none.too_heavy);

    let mut jobs = first.jobs;
    assert_eq!(queue.read_body(&mut jobs[0]).await.unwrap(), Body::Read);
    assert_eq!(jobs[0].payload.as_ref().map(Vec::len), Some(400 * KIB));
    database.execute(&format!("DELETE FROM pgqueuer WHERE id = {}", heavy[1])).await;
    assert_eq!(queue.read_body(&mut jobs[1]).await.unwrap(), Body::Gone);
    drop(jobs);
    let rest = queue.claim(&echo, 100).await.unwrap();
    assert_eq!((ids(&rest), rest.too_heavy), (heavy[2..].to_vec(), false));
}

#[tokio::test]
async fn a_job_above_the_budget_runs_alone_and_one_above_the_memory_is_held_with_the_reason() {
    let database = Database::new().await;
    let (queue, echo) = (within(&database, MIB), [Arc::from("echo")]);
    let large = database.enqueue_many("echo", 2, vec![b'x'; 2 * MIB]).await;
    let first = queue.claim(&echo, 100).await.unwrap();
    assert_eq!((first.len(), first[0].id, first.too_heavy), (1, large[0], true));
    assert!(queue.claim(&echo, 100).await.unwrap().is_empty());
    let mut job = first.jobs.into_iter().next().unwrap();
    job.unread = Some(u64::MAX);
    assert!(matches!(queue.read_body(&mut job).await.unwrap(), Body::Unreadable(reason) if reason.contains("memory")));
    drop(job);
    assert_eq!(queue.claim(&echo, 100).await.unwrap()[0].id, large[1]);
}

#[tokio::test]
async fn limits_and_slot_handovers_respect_the_budget() {
    let database = Database::new().await;
    let queue = within(&database, MIB);
    let limited = ConcurrencyLimit { entrypoint: Arc::from("limited"), concurrency: 10 };
    database.enqueue_many("limited", 5, vec![b'x'; 400 * KIB]).await;
    let first = queue.claim_limited(&limited, 10).await.unwrap();
    assert_eq!((first.len(), first.too_heavy), (2, true));
    let record = |job: &Job| {
        let disposition =
            Disposition::Again { delay: std::time::Duration::from_secs(3600), counts: false, traceback: None };
        Record::new(job.claim, disposition)
    };
    assert_eq!(queue.record(&[record(&first[0])]).await.unwrap(), [first[0].id]);
    let finished = |job: &Job| {
        let (status, follow_ups) = (Terminal::Successful, Vec::new());
        let disposition = Disposition::Finished { status, traceback: None, output: None, follow_ups };
        Record { limited: Some(limited.clone()), ..Record::new(job.claim, disposition) }
    };
    let handed = queue.hand_over(&limited, &[finished(&first[1])]).await.unwrap();
    assert_eq!((handed.ours, handed.next.len()), (vec![first[1].id], 0), "both payloads are held yet");
    drop(first);
    let second = queue.claim_limited(&limited, 1).await.unwrap();
    let handed = queue.hand_over(&limited, &[finished(&second[0])]).await.unwrap();
    assert_eq!((handed.ours.len(), handed.next.len()), (1, 1));
}

/// The bytes sent while the rows are locked are limited as well.
#[tokio::test]
async fn one_answer_is_short_and_the_next_claim_goes_on() {
    let database = Database::new().await;
    let (queue, echo) = (database.queue(), [Arc::from("echo")]);
    database.enqueue_many("echo", 300, vec![b'x'; 3 * KIB]).await;
    let mut claimed = Vec::new();
    loop {
        let some = queue.claim(&echo, 1_000).await.unwrap();
        let bytes: usize = some.iter().filter_map(|job| job.payload.as_ref()).map(Vec::len).sum();
        assert!(bytes <= 600 * KIB, "{bytes}");
        assert!(some.iter().all(|job| job.unread.is_none()));
        if some.is_empty() {
            break;
        }
        claimed.extend(some.jobs);
    }
    assert_eq!(claimed.len(), 300);
}

/// The highest resident memory so far, in bytes.
fn peak(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// If all were claimed at once, their payloads alone would take 640 MiB, and another 640 MiB while
/// they are handed to their guests.
#[tokio::test]
async fn a_backlog_of_large_payloads_is_worked_off_in_small_groups() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    // A number after many spaces.
    let mut payload = vec![b' '; 16 * MIB];
    payload.push(b'1');
    let ids = database.enqueue_many("nap", 40, payload).await;
    let small = database.enqueue_many("echo", 20, "x").await;
    let host = Host::start(&database, &plugins, &["--max-claimed-bytes", "40MiB"]).await;
    for id in small.iter().chain(&ids) {
        database.wait_for(*id, "successful").await;
    }
    let peak = peak(&host);
    assert!(peak < 500 << 20, "the host had {peak} bytes");
    host.stop().await;
}

/// Outcomes that wait for the database take memory of the host.
#[tokio::test]
async fn outputs_that_wait_to_be_recorded_are_counted_and_written_a_few_at_a_time() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let ids = database.enqueue_many("echo", 60, vec![b'x'; 8 * MIB]).await;
    let mut locked = database.connect().await;
    locked.execute("BEGIN; LOCK TABLE pgqueuer_output IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let host =
        Host::start(&database, &plugins, &["--max-claimed-bytes", "40MiB", "--max-guest-memory", "128MiB"]).await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%traceback, output,%' AND datname = current_database()";
    eventually("an outcome waits", async || database.count(waits).await > 0).await;
    // Without the limit, everything would be claimed and run within this time, or at once.
    let all = async || while database.count("SELECT count(*) FROM pgqueuer WHERE status = 'queued'").await > 0 {};
    let _ = tokio::time::timeout(std::time::Duration::from_secs(3), all()).await;
    locked.execute("COMMIT").await.unwrap();
    for id in ids {
        database.wait_for(id, "successful").await;
    }
    let peak = peak(&host);
    assert!(peak < 500 << 20, "the host had {peak} bytes");
    host.stop().await;
}

/// A server that sends to a stopped host waits for it. That must not keep rows locked.
#[tokio::test]
async fn a_host_that_stops_in_a_claim_keeps_no_row_locked() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let stopped = Host::start(&database, &plugins, &["--heartbeat-timeout", "3"]).await;
    database.enqueue_many("echo", 20, vec![b'x'; MIB]).await;
    eventually("the claim is under way, or over", async || {
        let claims = "SELECT (SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%claim_logged%' AND pid <> pg_backend_pid())
             + (SELECT count(*) FROM pgqueuer WHERE status = 'picked') + (SELECT count(*) FROM pgqueuer_log WHERE status = 'picked')";
        database.count(claims).await > 0
    })
    .await;
    stopped.signal(Signal::STOP);
    let host = Host::start(&database, &plugins, &["--heartbeat-timeout", "3"]).await;
    database.wait_until_done().await;
    host.stop().await;
    stopped.kill().await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await, 20);
}

#[tokio::test]
async fn headers_keep_every_digit_and_every_level() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let deep = format!("{}1{}", "[".repeat(150), "]".repeat(150));
    let headers = format!(r#"{{"big": 1e400, "long": 12345678901234567890123, "deep": {deep}, "text": "as it is"}}"#);
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO pgqueuer (priority, entrypoint, payload, headers, status) VALUES (0, 'show', 'x', $1::text::jsonb, 'queued') RETURNING id",
    )
    .bind(&headers)
    .fetch_one(database.pool())
    .await
    .unwrap();
    let host = Host::start(&database, &plugins, &[]).await;
    database.wait_for(id, "successful").await;
    let output: serde_json::Value = serde_json::from_str(&database.output(id).await.unwrap()).unwrap();
    let seen = &output["headers"];
    assert_eq!(seen["big"].as_str(), Some(&*format!("1{}", "0".repeat(400))));
    assert_eq!((seen["long"].as_str(), seen["deep"].as_str()), (Some("12345678901234567890123"), Some(&*deep)));
    assert_eq!(seen["text"], "as it is");
    // And they are visible on a job that failed.
    database.execute("INSERT INTO pgqueuer (priority, entrypoint, headers, status) VALUES (0, 'show', '{\"long\": 12345678901234567890123, \"big\": 1e400}', 'failed')").await;
    let said = database.cli_ok(&["failed", "--json"]).await;
    assert!(
        said.stdout.contains(r#""headers":{"big":1000"#) && said.stdout.contains(r#""long":12345678901234567890123}"#),
        "{said:?}"
    );
    host.stop().await;
}

/// 2 KB in the table, 26 MB as text.
#[tokio::test]
async fn headers_that_are_too_large_as_text_are_held_alone_with_the_reason() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let headers = format!("{{\"a\": [{}]}}", vec!["1e131071"; 200].join(","));
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO pgqueuer (priority, entrypoint, payload, headers, status) VALUES (1, 'show', 'x', $1::text::jsonb, 'queued') RETURNING id",
    )
    .bind(headers)
    .fetch_one(database.pool())
    .await
    .unwrap();
    let good = database.enqueue_many("show", 5, "x").await;
    let host = Host::start(&database, &plugins, &[]).await;
    database.wait_for(id, "failed").await;
    for id in good {
        database.wait_for(id, "successful").await;
    }
    let traceback = database.traceback(id).await;
    assert_eq!(traceback["exception_type"], "Unreadable");
    assert!(traceback["exception_message"].as_str().is_some_and(|why| why.contains("16777216")), "{traceback}");
    host.stop().await;
}
