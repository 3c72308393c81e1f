//! `sql worker`: prints the statements that a host sends.

use clap::Args;

use super::usage::usage;
use pgq_queue::names::Names;
use pgq_queue::{SchemaFeatures, WORKER_STATEMENTS, WorkerStatement};

#[derive(Debug, Args)]
pub(super) struct SqlWorkerArgs {
    /// One statement [default: all of them]
    name: Option<String>,
}

impl SqlWorkerArgs {
    /// The statements for a database with all additions, each below its file's comment.
    pub(super) fn print(&self, names: &Names) -> anyhow::Result<String> {
        let wanted = |statement: &&WorkerStatement| self.name.as_deref().is_none_or(|name| name == statement.name);
        let statements: Vec<String> = WORKER_STATEMENTS
            .iter()
            .filter(wanted)
            .map(|statement| {
                let header: Vec<&str> = statement.file.lines().take_while(|line| line.starts_with("--")).collect();
                format!(
                    "-- {}\n--\n{}\n{};\n",
                    statement.name,
                    header.join("\n"),
                    statement.render(names, SchemaFeatures::ALL)
                )
            })
            .collect();
        match &self.name {
            Some(unknown) if statements.is_empty() => {
                let known: Vec<&str> = WORKER_STATEMENTS.iter().map(|statement| statement.name).collect();
                Err(usage(format!("a worker has no statement {unknown:?}; it has {}", known.join(", "))))
            }
            _ => Ok(statements.join("\n")),
        }
    }
}
