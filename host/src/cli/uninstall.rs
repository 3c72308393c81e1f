//! `uninstall`: asks before it removes what is in use.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use super::database::DatabaseArgs;
use super::output;
use crate::announce;
use pgq_queue::names::Names;
use pgq_queue::schema::{self, Loss};

#[derive(Debug, Args)]
pub(super) struct UninstallArgs {
    /// Do not ask, whatever is lost
    #[arg(short, long)]
    yes: bool,
    /// Print a JSON object: what was removed, and what was lost with it
    #[arg(long)]
    json: bool,
}

/// As in PgQueuer, a queue without jobs and without a host is removed without asking.
pub(super) async fn run(database: &DatabaseArgs, args: UninstallArgs) -> anyhow::Result<()> {
    let names = database.names()?;
    let mut connection = database.connect().await?;
    let loss = schema::loss(&mut connection, &names, announce::PERIOD.mul_f64(2.5)).await?;
    if !loss.is_nothing() && !args.yes && !confirmed(&names, &loss)? {
        bail!("{names} was not changed");
    }
    schema::uninstall(&mut connection, &names).await?;
    output::status(&format!(
        "Removed {names}{}.",
        if loss.is_nothing() { String::new() } else { format!(" with {loss}") }
    ));
    if args.json {
        let Loss { queued, running, failed, hosts } = loss;
        let lost = json!({ "queued": queued, "running": running, "failed": failed, "hosts": hosts });
        output::object(&json!({ "schema": names.schema, "queue_table": names.queue_table, "lost": lost }))?;
    }
    Ok(())
}

/// Ask the user at the terminal. Without a terminal, refuse.
fn confirmed(names: &Names, loss: &Loss) -> anyhow::Result<bool> {
    let (stdin, mut stderr) = (std::io::stdin(), std::io::stderr());
    if !stdin.is_terminal() || !stderr.is_terminal() {
        bail!(
            "{names} is in use, and uninstall would remove it with {loss}: stop the hosts and drain the queue, or pass --yes"
        );
    }
    write!(stderr, "This removes {names} with {loss}. Continue? [y/N] ")
        .and_then(|()| stderr.flush())
        .context("cannot ask")?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
