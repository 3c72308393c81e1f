//! `queue`: enqueues one job by hand.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::database::{self, DatabaseArgs};
use super::output;
use super::sealing::KeysArgs;
use super::usage::usage;
use crate::config::parse_duration;
use pgq_job::{JobId, NewJob};
use pgq_queue::{EnqueueError, OnConflict, Placed, Queue};
use pgq_sealing::Purpose;

#[derive(Debug, Args)]
pub(super) struct QueueArgs {
    /// The entrypoint that is to run it
    #[arg(value_parser = parse_entrypoint)]
    entrypoint: String,
    /// The payload
    #[arg(conflicts_with = "payload_file")]
    payload: Option<String>,
    /// Read the payload from this file; `-` is standard input
    #[arg(long)]
    payload_file: Option<PathBuf>,
    /// Seconds from now before which it does not run (or 15m, 2h, ...)
    #[arg(long, default_value = "0", value_parser = parse_delay)]
    delay: Duration,
    /// A job with a higher priority runs first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,
    /// A header as NAME=VALUE; may be given several times
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// A key that at most one queued or running job may have
    #[arg(long, value_parser = parse_dedupe_key)]
    dedupe_key: Option<String>,
    /// If the key is taken: exit with an error, exit with 0, or raise the priority of the job that
    /// has it to this one's
    #[arg(long, default_value = "raise")]
    on_conflict: Conflict,
    /// Seal the payload for this entrypoint
    #[arg(long)]
    seal: bool,
    #[command(flatten)]
    keys: KeysArgs,
    /// Print a JSON object: `result`, and `id` or `dedupe_key`
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Conflict {
    Raise,
    Skip,
    #[value(name = "update_priority", alias = "update-priority")]
    UpdatePriority,
}

fn parse_entrypoint(name: &str) -> Result<String, String> {
    NewJob::check_entrypoint(name).map(|()| name.to_owned())
}

fn parse_dedupe_key(key: &str) -> Result<String, String> {
    NewJob::check_dedupe_key(key).map(|()| key.to_owned())
}

fn parse_delay(text: &str) -> Result<Duration, String> {
    let delay = parse_duration(text)?;
    NewJob::check_delay(delay).map(|()| delay)
}

pub(super) fn parse_header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".into()),
    }
}

pub(super) async fn run(database: &DatabaseArgs, args: QueueArgs) -> anyhow::Result<()> {
    let payload = match (&args.payload, &args.payload_file) {
        (Some(text), _) => Some(text.clone().into_bytes()),
        (None, Some(path)) => Some(read_payload(path)?),
        (None, None) => None,
    };
    let payload = if args.seal { Some(sealed(&args.keys, payload, &args.entrypoint).await?) } else { payload };
    let headers = args.headers.into_iter().map(|(name, value)| (name, value.into())).collect::<serde_json::Map<_, _>>();
    let job = NewJob {
        entrypoint: args.entrypoint,
        payload,
        priority: args.priority,
        delay: args.delay,
        dedupe_key: args.dedupe_key,
        headers: (!headers.is_empty()).then_some(headers),
    };
    let pool = database.pool().await?;
    let queue = Queue::new(pool, database.names()?);
    let say = |text: String, object: Value| if args.json { output::object(&object) } else { output::data(&text) };
    let enqueued = |id: JobId| say(format!("Enqueued job {id}."), json!({ "result": "enqueued", "id": id }));
    if args.on_conflict == Conflict::UpdatePriority {
        let placed = queue.enqueue_or_update_priority(&job).await.map_err(explain)?;
        let Placed { id, priority, is_new } = placed;
        if is_new {
            return enqueued(id);
        }
        return say(
            format!("Job {id} already has the dedupe key; its priority is now {priority}."),
            json!({ "result": "priority_updated", "id": id, "priority": priority }),
        );
    }
    // As in PgQueuer: the new job is skipped either way, and the mode only decides the exit code.
    if let Some(id) = queue.enqueue(std::slice::from_ref(&job), OnConflict::Skip).await.map_err(explain)?.first() {
        return enqueued(*id);
    }
    let key = job.dedupe_key.unwrap_or_default();
    if args.on_conflict == Conflict::Skip {
        return say(
            format!("Skipped: a queued or running job already has the dedupe key {key:?}."),
            json!({ "result": "skipped", "dedupe_key": key }),
        );
    }
    if args.json {
        output::object(&json!({ "result": "dedupe_key_taken", "dedupe_key": key }))?;
    }
    bail!(
        "a queued or running job already has the dedupe key {key:?}; --on-conflict skip or update_priority accepts that"
    )
}

async fn sealed(keys: &KeysArgs, payload: Option<Vec<u8>>, entrypoint: &str) -> anyhow::Result<Vec<u8>> {
    let Some(payload) = payload else { return Err(usage("--seal needs a payload to seal; an empty one is ''")) };
    Ok(keys.read().await?.seals(None)?.seal(&payload, Purpose::Payload, entrypoint)?)
}

pub(super) fn read_payload(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut bytes).context("cannot read the payload from standard input")?;
    } else {
        bytes = std::fs::read(path).with_context(|| format!("cannot read the payload from {}", path.display()))?;
    }
    Ok(bytes)
}

fn explain(error: EnqueueError) -> anyhow::Error {
    match error {
        EnqueueError::Database(error) => database::explain(error),
        EnqueueError::Duplicate(_) => error.into(),
    }
}
