//! The results: checked job by job, summed up, with samples to look at.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use pgq_job::JobId;
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Style};

use crate::folder::Folder;
use crate::ledger::{Ledger, Speed, Standing};
use crate::order::{self, Due, Order};
use crate::receiver;

/// Enough to see that they are real.
const SAMPLES: [(&str, &str, usize); 5] = [
    ("thumbnail", "jpg", 4),
    ("report", "json", 1),
    ("hello", "txt", 1),
    ("webhook", "json", 1),
    ("import_stock", "json", 1),
];
const MISTAKES: usize = 10;

pub(crate) struct Summary<'a> {
    orders: &'a [Order],
    standings: Vec<Standing>,
    speeds: HashMap<String, Speed>,
    outputs: HashMap<JobId, Vec<u8>>,
    held: HashMap<JobId, String>,
    received: receiver::Tally,
}

impl<'a> Summary<'a> {
    pub(crate) async fn gather(
        ledger: &Ledger,
        orders: &'a [Order],
        received: receiver::Tally,
    ) -> anyhow::Result<Summary<'a>> {
        Ok(Summary {
            orders,
            standings: ledger.standings().await?,
            speeds: ledger.speeds().await?,
            outputs: ledger.outputs().await?,
            held: ledger.held().await?,
            received,
        })
    }

    /// Print it. Fails if something does not add up.
    #[expect(clippy::print_stdout, reason = "the demo's data")]
    pub(crate) fn conclude(&self, folder: &Folder) -> anyhow::Result<()> {
        println!("\n{}", self.table());
        println!(
            "p50 and p95 are from claim to recorded outcome; jobs/s are from the first claim to the last outcome, retries included.\n"
        );
        println!("Held, because they were broken on purpose:");
        for order in self.orders.iter().filter(|order| matches!(order.due, Due::Held(_))) {
            println!(
                "  {:<12}  job {}: {}",
                order.entrypoint,
                order.id,
                self.held.get(&order.id).map_or("not held", String::as_str)
            );
        }
        let (requests, accepted, refused) = (self.received.requests(), self.received.accepted(), self.received.refused);
        println!(
            "\nThe webhook receiver got {requests} requests: it answered 503 to {refused} and accepted {accepted} different deliveries."
        );
        println!("The table stock has each row of each import once, and its follow-ups were enqueued with the rows.");
        println!("\nSamples of the output:");
        for path in self.write_samples(&folder.samples())? {
            println!("  {path}");
        }
        let mistakes = self.mistakes();
        if !mistakes.is_empty() {
            bail!("{} things do not add up:\n{}", mistakes.len(), mistakes[..mistakes.len().min(MISTAKES)].join("\n"));
        }
        println!("\nAll {} jobs ended as they should: every output was checked, nothing was lost.", self.orders.len());
        Ok(())
    }

    fn table(&self) -> String {
        let mut table = Builder::default();
        table.push_record(["entrypoint", "done", "failed (held)", "retried", "p50 ms", "p95 ms", "jobs/s"]);
        for Standing { entrypoint, done, held, retried, .. } in &self.standings {
            let speed = self.speeds.get(*entrypoint).copied().unwrap_or_default();
            let [p50, p95] = [speed.p50, speed.p95].map(|seconds| format!("{:.0}", seconds * 1e3));
            let counts = [done, held, retried].map(ToString::to_string);
            table.push_record([(*entrypoint).to_owned()].into_iter().chain(counts).chain([
                p50,
                p95,
                format!("{:.0}", speed.rate),
            ]));
        }
        let mut table = table.build();
        table.with(Style::sharp()).modify(Columns::new(1..), Alignment::right());
        table.to_string()
    }

    fn write_samples(&self, folder: &Path) -> anyhow::Result<Vec<String>> {
        let mut written = Vec::new();
        for (entrypoint, extension, count) in SAMPLES {
            let done = self.orders.iter().filter(|order| order.entrypoint == entrypoint);
            for (order, output) in done.filter_map(|order| Some((order, self.outputs.get(&order.id)?))).take(count) {
                let path = folder.join(format!("{entrypoint}-{}.{extension}", order.id));
                fs::write(&path, output).with_context(|| format!("cannot write {}", path.display()))?;
                written.push(format!("{} ({} bytes, from {})", path.display(), output.len(), order.size));
            }
        }
        Ok(written)
    }

    fn mistakes(&self) -> Vec<String> {
        let of_jobs = self.orders.iter().filter_map(|order| {
            let (output, held) = (self.outputs.get(&order.id), self.held.get(&order.id));
            order.mistake(output.map(Vec::as_slice), held.map(String::as_str))
        });
        let wanted = order::tally(self.orders);
        let mut counts = Vec::new();
        for standing in &self.standings {
            let wanted = wanted[standing.entrypoint];
            counts.push((format!("{} jobs done", standing.entrypoint), standing.done, wanted.done));
            counts.push((format!("{} jobs held", standing.entrypoint), standing.held, wanted.held));
            if standing.entrypoint == "webhook" {
                counts.push(("deliveries accepted".into(), self.received.accepted(), wanted.done));
                counts.push((
                    "deliveries refused once".into(),
                    self.received.refused,
                    receiver::Tally::refusals_of(wanted.done),
                ));
                counts.push(("requests received".into(), self.received.requests(), standing.done + standing.retried));
            }
        }
        let of_counts = counts.into_iter().filter(|(_, is, wanted)| is != wanted);
        of_jobs.chain(of_counts.map(|(what, is, wanted)| format!("{what}: {is}, not {wanted}"))).collect()
    }
}

/// `--keep`: invites the user to try everything that is running.
pub(crate) fn invite(host: &Path, folder: &Folder) {
    let (host, dsn) = (host.display(), folder.dsn());
    eprintln!("\nEverything keeps running; Ctrl-C stops it. From another terminal:");
    eprintln!("  export PGDSN=$(cat {})", dsn.display());
    eprintln!("  {host} queue hello '{{\"name\": \"you\"}}'");
    eprintln!(
        "  {host} queue thumbnail --payload-file plugins-example/thumbnail/samples/rocket.jpg --header width=200"
    );
    eprintln!("  psql \"$PGDSN\" -c \"{OUTPUT}\"");
    eprintln!("  psql \"$PGDSN\" -c \"{FAILED}\"");
}

/// Says how to use the database that the demo leaves behind.
pub(crate) fn remember(host: &Path, plugins: &Path, folder: &Folder) {
    let (host, plugins, config, database) = (
        host.display(),
        plugins.display(),
        folder.config().display().to_string(),
        folder.database().display().to_string(),
    );
    eprintln!("\nThe host has stopped. To look further, start it again (or run the demo with --keep):");
    eprintln!("  {host} dev --plugins {plugins} --config {config} --data-dir {database}");
    eprintln!("and from another terminal:");
    eprintln!("  psql \"$(cat {})\" -c \"{FAILED}\"", folder.dsn().display());
}

const OUTPUT: &str = "SELECT job_id, entrypoint, length(output) FROM pgqueuer_output ORDER BY job_id DESC LIMIT 5";
const FAILED: &str =
    "SELECT job_id, entrypoint, traceback ->> 'exception_message' AS why FROM pgqueuer_log WHERE status = 'failed'";
