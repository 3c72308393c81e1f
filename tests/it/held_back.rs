//! A transaction that is left open during a sustained load. Dead rows cannot be removed while it
//! lasts, and whatever reads past them becomes slower and slower. This measurement takes minutes on
//! a quiet machine (`make held-back`). `plans` counts what claims read beside such a transaction.

use std::time::{Duration, Instant};

use pgq_host_tests::{Database, Host, Pages, Plugins};
use sqlx::{Connection as _, Executor as _};

/// Jobs that wait or run at any time: enough to fill every claim.
const BACKLOG: usize = 2_000;
const FED_AT_ONCE: usize = 500;

/// Feeds a host so that it never has to wait, and counts what it does.
struct Load {
    database: Database,
    host: Host,
    pages: Pages,
    fed: usize,
}

/// Figures over some time.
struct Rate {
    jobs_per_second: f64,
    /// CPU time of the host alone. Dead rows do not affect it, so it shows how fast the machine was
    /// meanwhile.
    host_per_1000_jobs: f64,
}

impl Load {
    fn done(&self) -> usize {
        let page = self.pages.get("/metrics").1;
        page.lines()
            .filter(|line| line.starts_with("pgq_host_runs_total"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
            .sum()
    }

    async fn run(&mut self, time: Duration) -> Rate {
        let (begun, before, cpu) = (Instant::now(), self.done(), self.host.cpu_seconds());
        let mut done = before;
        while begun.elapsed() < time {
            done = self.done();
            if self.fed - done < BACKLOG {
                self.database.enqueue_many("echo", FED_AT_ONCE, "x").await;
                self.fed += FED_AT_ONCE;
            } else {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        let jobs = (done - before) as f64;
        Rate {
            jobs_per_second: jobs / begun.elapsed().as_secs_f64(),
            host_per_1000_jobs: (self.host.cpu_seconds() - cpu) / jobs * 1_000.0,
        }
    }
}

#[tokio::test]
#[ignore = "a measurement: make held-back"]
async fn a_transaction_left_open_leaves_most_of_the_throughput() {
    const WINDOWS: u32 = 6;
    let seconds = std::env::var("PGQ_HELD_SECONDS").map_or(600, |text| text.parse().expect("a number of seconds"));
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let pages = Pages::anywhere();
    let host = Host::start(&database, &plugins, &["--listen", &pages.address()]).await;
    let mut load = Load { database, host, pages, fed: 0 };
    let window = Duration::from_secs(seconds) / WINDOWS;
    // Caches, prepared statements and the first compilation are not part of the measurement.
    load.run(window.min(Duration::from_secs(5))).await;
    let free = load.run(2 * window).await;

    let mut left_open = load.database.connect().await;
    left_open.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    left_open.execute("SELECT txid_current(), count(*) FROM pgqueuer_host").await.unwrap();
    let mut held = Vec::new();
    for _ in 0..WINDOWS {
        held.push(load.run(window).await);
    }
    let dead =
        load.database.count("SELECT n_dead_tup::bigint FROM pg_stat_user_tables WHERE relname = 'pgqueuer'").await;
    left_open.close().await.unwrap();
    let shown = |rate: &Rate| format!("{:.0} ({:.4} s)", rate.jobs_per_second, rate.host_per_1000_jobs);
    let each: Vec<String> =
        held.iter().map(|rate| format!("{:.2} {}", rate.jobs_per_second / free.jobs_per_second, shown(rate))).collect();
    eprintln!(
        "jobs/s (and processor time of the host per 1,000 of them): {}; beside a transaction left open for {seconds} s {}; {dead} dead rows",
        shown(&free),
        each.join(", ")
    );
    let last = held.last().map_or(0.0, |rate| rate.jobs_per_second);
    // The goal is 0.9, but a machine whose own speed varies by half cannot show that.
    assert!(last > free.jobs_per_second / 2.0, "{last:.0} of {:.0} jobs/s are left", free.jobs_per_second);
    load.host.stop().await;
}
