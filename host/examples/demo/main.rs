//! The demo: from nothing to a thousand real jobs done, checked and summed up.
//!
//!     cargo build --release -p pgq-host --bins --example demo
//!     target/release/examples/demo
//!
//! It starts `pgq-host dev` (which brings its own PostgreSQL) and a webhook receiver, and enqueues
//! jobs for the five example plugins, a few of them broken on purpose. It exits with 1 unless every
//! single job ended as it should.

mod folder;
mod host;
mod interrupt;
mod ledger;
mod order;
mod progress;
mod receiver;
mod stock;
mod summary;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use pgq_job::NewJob;
use pgq_queue::names::{NameSettings, Names};
use pgq_queue::{self as queue, OnConflict, Queue};

use crate::folder::Folder;
use crate::host::Host;
use crate::interrupt::Interrupt;
use crate::ledger::Ledger;
use crate::order::Order;
use crate::progress::Progress;
use crate::receiver::Receiver;
use crate::summary::Summary;

/// The most jobs, and bytes, in one statement. A report can have megabytes.
const BATCH: (usize, usize) = (200, 16 << 20);
/// How often the queue is read, which costs next to nothing.
const LOOK: Duration = Duration::from_millis(200);
/// Far beyond the longest back-off. After this time without progress, something is stuck.
const STALLED: Duration = Duration::from_secs(30);

/// Run a few hundred real jobs of each kind on a private PostgreSQL, and check the results.
#[derive(Debug, Parser)]
struct Args {
    /// The binary of pgq-host
    #[arg(long, default_value = "target/release/pgq-host")]
    host: PathBuf,
    /// The folder with the example plugins
    #[arg(long, default_value = "plugins-example/dist")]
    plugins: PathBuf,
    /// Good jobs of each kind; one broken job of each kind is added
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    jobs: u32,
    /// Leave everything running at the end, until Ctrl-C; DEMO=keep means the same
    #[arg(long)]
    keep: bool,
}

// On one thread, because the host's life is tied to the thread that starts it: see `host`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Box::pin(run()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let mut args = Args::parse();
    args.keep |= std::env::var_os("DEMO").is_some_and(|demo| demo == "keep");
    let mut interrupt = Interrupt::install()?;
    let folder = Folder::open()?;
    let receiver = Receiver::start().await?;
    let password = uuid::Uuid::new_v4().to_string();
    folder.write_config(receiver.origin(), &password)?;
    let mut host = Host::start(&args.host, &args.plugins, &folder)?;
    let result = tokio::select! {
        result = demo(&args, &folder, &receiver, &mut host, &password) => result,
        name = interrupt.next() => Err(anyhow::anyhow!("interrupted by {name}")),
    };
    if args.keep && result.is_ok() {
        summary::invite(&args.host, &folder);
        tokio::select! {
            name = interrupt.next() => eprintln!("{name}: stopping"),
            error = host.ended() => return Err(error),
        }
    }
    let stopped = tokio::select! {
        stopped = host.stop() => stopped,
        name = interrupt.next() => Err(anyhow::anyhow!("{name} again: the host was killed")),
    };
    // The first error is the one that counts.
    result.and(stopped)?;
    if !args.keep {
        summary::remember(&args.host, &args.plugins, &folder);
    }
    Ok(())
}

async fn demo(
    args: &Args,
    folder: &Folder,
    receiver: &Receiver,
    host: &mut Host,
    password: &str,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let dsn = host.ready(folder).await?;
    eprintln!("ready after {:.1} s, PostgreSQL included", start.elapsed().as_secs_f64());

    let pool = queue::connect(queue::connect_options(Some(&dsn)).map_err(anyhow::Error::msg)?).await?;
    let names = Names::new(&NameSettings::default(), |_| None)?;
    let ledger = Ledger::new(pool.clone(), &names);
    ledger.clear().await.context("cannot clear what an earlier demo left in the queue")?;
    stock::prepare(&pool, &names, password).await?;
    let mut orders = order::book(args.jobs, receiver.origin());
    let (queue, wanted) = (Queue::new(pool.clone(), names), order::tally(&orders));
    // The first jobs are done before the last ones are enqueued.
    let work = async { tokio::try_join!(enqueue(&queue, &mut orders), watch(&ledger, &wanted)) };
    let (enqueued, ()) = tokio::select! {
        result = work => result.map_err(|error| anyhow::anyhow!("{error:#}; {}", host.log_tail()))?,
        error = host.ended() => return Err(error),
    };
    eprintln!("{enqueued}");
    stock::check(&pool, args.jobs).await?;
    Summary::gather(&ledger, &orders, receiver.tally()).await?.conclude(folder)
}

/// Enqueue all orders and note their job ids. Returns a message about the speed.
async fn enqueue(queue: &Queue, orders: &mut [Order]) -> anyhow::Result<String> {
    let (start, total) = (Instant::now(), orders.len());
    let (mut rest, mut bytes) = (orders, 0);
    while !rest.is_empty() {
        let mut size = 0;
        let fits = rest.iter().take(BATCH.0).take_while(|order| {
            size += order.size;
            size <= BATCH.1
        });
        let (batch, others) = rest.split_at_mut(fits.count().max(1));
        // The payloads are not needed again, and they take a hundred megabytes.
        let jobs: Vec<NewJob> = batch.iter_mut().map(|order| std::mem::take(&mut order.job)).collect();
        let ids = queue.enqueue(&jobs, OnConflict::Raise).await?;
        ensure!(ids.len() == batch.len(), "{} jobs were enqueued instead of {}", ids.len(), batch.len());
        for (order, id) in batch.iter_mut().zip(ids) {
            order.id = id;
            bytes += order.size;
        }
        rest = others;
    }
    let seconds = start.elapsed().as_secs_f64();
    let megabytes = bytes as f64 / 1e6;
    Ok(format!(
        "enqueued {total} jobs with {megabytes:.0} MB in {seconds:.1} s ({:.0} jobs/s) while they ran",
        total as f64 / seconds
    ))
}

/// Wait until no job is queued or running.
async fn watch(ledger: &Ledger, wanted: &order::Tally) -> anyhow::Result<()> {
    let (mut progress, mut last, mut moved) = (Progress::new(), Vec::new(), Instant::now());
    loop {
        let standings = ledger.standings().await?;
        progress.show(&standings, wanted);
        if standings.iter().all(|standing| standing.ended() >= wanted[standing.entrypoint].total()) {
            progress.end();
            return Ok(());
        }
        if standings != last {
            (last, moved) = (standings, Instant::now());
        }
        ensure!(moved.elapsed() < STALLED, "no progress for {} s", STALLED.as_secs());
        tokio::time::sleep(LOOK).await;
    }
}
