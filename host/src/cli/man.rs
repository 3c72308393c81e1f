//! `man`: manual pages, for packages and for whoever wants to read one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Command};
use clap_mangen::Man;

use super::output;
use super::usage::usage;

const NAME: &str = "pgq-host";

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The verb whose page to print [default: the page of pgq-host]
    #[arg(conflicts_with = "out")]
    verb: Vec<String>,
    /// Write the pages of all verbs into this folder instead, which is made if need be
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// The name of a verb's page, and the verb.
fn pages(command: &Command, name: &str, found: &mut Vec<(String, Command)>) {
    found.push((name.to_owned(), command.clone()));
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help") {
        pages(verb, &format!("{name}-{}", verb.get_name()), found);
    }
}

fn page(name: &str, command: Command) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command.display_name(name.to_owned())).title(name.to_uppercase()).manual("pgq-host");
    man.source(format!("{NAME} {}", crate::version::BUILD)).render(&mut page).context("cannot write a page")?;
    Ok(page)
}

pub(super) fn run(args: &ManArgs, mut command: Command) -> anyhow::Result<()> {
    command = command.disable_help_subcommand(true);
    // Gives the verbs the options of all verbs.
    command.build();
    let mut all = Vec::new();
    pages(&command, NAME, &mut all);
    if let Some(folder) = &args.out {
        return write(folder, all);
    }
    let wanted = [&[NAME.to_owned()], args.verb.as_slice()].concat().join("-");
    let found = all.into_iter().find(|(name, _)| *name == wanted);
    let (name, verb) = found
        .ok_or_else(|| usage(format!("there is no verb {:?}; `pgq-host --help` lists them", args.verb.join(" "))))?;
    output::data(String::from_utf8_lossy(&page(&name, verb)?).trim_end())
}

fn write(folder: &Path, all: Vec<(String, Command)>) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let number = all.len();
    for (name, command) in all {
        let path = folder.join(format!("{name}.1"));
        fs::write(&path, page(&name, command)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    output::status(&format!("Wrote {number} pages to {}: man -M needs them in a folder man1 there.", folder.display()));
    Ok(())
}
