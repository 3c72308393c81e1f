//! `plugin run`: runs one handler once, under its limits and grants, without a queue.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use chrono::Utc;
use clap::Args;

use super::exit::Exit;
use super::options;
use crate::cli::output;
use crate::cli::queue::{parse_header, read_payload};
use crate::cli::usage::usage;
use crate::cli::workbench::{self, CodeCaching, WorkbenchArgs};
use crate::signal::Signals;
use crate::source::Source;
use pgq_engine::{self as wasm, AssignedJob, CallSpec, Control, Declaration, RunLimits};
use pgq_job::{Claim, Job, JobId};

/// The job id that a handler sees. There is no row in a queue.
const JOB: JobId = 1;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The component file, or the folder of a plugin's source, which is built first
    file: PathBuf,
    /// The handler to run [default: the only one]
    #[arg(long)]
    entrypoint: Option<String>,
    /// The payload
    #[arg(long, conflicts_with = "payload_file")]
    payload: Option<String>,
    /// Read the payload from this file; `-` is standard input
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,
    /// A header as NAME=VALUE; may be given several times
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// Which attempt of the job this is; the last one is max-attempts
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    attempt: u32,
    /// Print one JSON object that includes the output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    workbench: WorkbenchArgs,
}

pub(super) async fn run(args: RunArgs) -> anyhow::Result<()> {
    let mut workbench = args.workbench.set_up(CodeCaching::Cached)?;
    // One job: what `build` or `inspect` compiled will do.
    workbench.cache = workbench.cache.quick_first();
    let mut signals = Signals::install()?;
    let file = component(&args.file, &mut signals).await?;
    let plugin = workbench.load(&file, workbench::read(&file)?).await?;
    let plugin = plugin.with_context(|| format!("{} is not a plugin that a host would load", file.display()))?;
    let entrypoint = choose(&plugin.declaration, args.entrypoint.as_deref())?;
    let options = workbench.config.caps.apply(&plugin.declaration.entrypoints[&entrypoint]);
    let limits = RunLimits { timeout: options.timeout, memory: options.memory, max_attempts: options.max_attempts };
    let job = args.job(&entrypoint)?;

    let (engine, control) = (workbench.engine.clone(), Arc::new(Control::default()));
    let jobs = [AssignedJob { job: Arc::new(job), control: Arc::clone(&control), trace: None }];
    let spec = CallSpec {
        plugin: Arc::new(plugin),
        entrypoint: entrypoint.into(),
        limits,
        reuse: 1,
        batched: options.batch.is_some(),
        kept_lines: 0,
        sql: None,
        trace: None,
    };
    let mut running = workbench.guests.handle().spawn(async move { wasm::run(&engine, &spec, &jobs).await });
    let report = tokio::select! {
        report = &mut running => report,
        _ = signals.next() => {
            control.shut_down();
            running.await
        }
    };
    let report = report.context("the host panicked while serving this run")?;
    show(&Exit { report, attempt: args.attempt, options }, args.json)
}

/// The file itself, or what is built of the folder.
async fn component(path: &Path, signals: &mut Signals) -> anyhow::Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let source = Source::at(path)?;
    let components = tokio::select! {
        built = source.build(true, true) => built?,
        name = signals.next() => bail!("interrupted by {name}; the build was stopped"),
    };
    match &components[..] {
        [only] => Ok(only.clone()),
        _ => Err(usage(format!("{} has several plugins; name the folder of one of them", path.display()))),
    }
}

impl RunArgs {
    fn job(&self, entrypoint: &str) -> anyhow::Result<Job> {
        let payload = match (&self.payload, &self.payload_file) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(path)) => Some(read_payload(path)?),
            (None, None) => None,
        };
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect::<serde_json::Map<_, _>>();
        let now = Utc::now();
        Ok(Job {
            id: JOB,
            priority: 0,
            created_ms: u64::try_from(now.timestamp_millis()).unwrap_or_default(),
            due: now,
            entrypoint: entrypoint.into(),
            payload,
            headers: (!headers.is_empty()).then(|| serde_json::Value::from(headers).to_string()),
            attempts: self.attempt - 1,
            unread: None,
            share: None,
            claim: Claim { id: JOB, at: now },
            suspicion: None,
        })
    }
}

fn choose(declaration: &Declaration, named: Option<&str>) -> anyhow::Result<String> {
    let all = || declaration.entrypoints.keys().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    match (named, declaration.entrypoints.keys().next()) {
        (Some(named), _) if declaration.entrypoints.contains_key(named) => Ok(named.to_owned()),
        (Some(named), _) => Err(usage(format!("the plugin has no entrypoint {named:?}; it has {}", all()))),
        (None, Some(only)) if declaration.entrypoints.len() == 1 => Ok(only.clone()),
        (None, _) => Err(usage(format!("the plugin has several entrypoints; name one of {} with --entrypoint", all()))),
    }
}

/// The output is the data and is printed byte for byte. Everything else goes to stderr.
fn show(exit: &Exit, json: bool) -> anyhow::Result<()> {
    let said = exit.said();
    if json {
        output::data(&exit.json().to_string())?;
        return said.map(drop).map_err(|failure| anyhow!(failure));
    }
    if let Some(bytes) = exit.output() {
        output::raw(bytes)?;
    }
    for job in exit.follow_ups() {
        let size = job.payload.as_ref().map_or("no payload".into(), |payload| options::bytes(payload.len()));
        output::status(&format!(
            "would enqueue {:?}: {size}, priority {}, delay {}",
            job.entrypoint,
            job.priority,
            options::time(job.delay)
        ));
    }
    if let Some(traceback) = exit.traceback() {
        output::status(traceback);
    }
    let took = format!(
        "{:.1} ms, {} of memory",
        exit.report.elapsed.as_secs_f64() * 1000.0,
        options::bytes(exit.report.memory)
    );
    match said {
        Ok(said) => {
            output::status(&format!("{said} ({took})"));
            Ok(())
        }
        Err(failure) => bail!("{failure} ({took})"),
    }
}
