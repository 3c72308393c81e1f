//! What is said when the command line is none that can be run.

use std::io::Write as _;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Say it, and end the process: with 0 after `--help` and `--version`, else with 2. `shown` is the
/// whole command, built.
pub(super) fn end(shown: Command, mut error: clap::Error) -> ! {
    let hidden = |name: &str| shown.find_subcommand(name).is_some_and(Command::is_hide_set);
    if let Some(ContextValue::Strings(similar)) = error.get(ContextKind::SuggestedSubcommand) {
        let shown = similar.iter().filter(|name| !hidden(name)).cloned().collect::<Vec<_>>();
        error.remove(ContextKind::SuggestedSubcommand);
        if !shown.is_empty() {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(shown));
        }
    }
    // Where a variable has set a global option, clap takes the command line for one that lacks a
    // verb and names all of them, hidden ones as well. Nothing was typed, so this is a question for
    // help.
    if error.kind() == ErrorKind::MissingSubcommand
        && let Some(ContextValue::String(command)) = error.get(ContextKind::InvalidSubcommand)
    {
        end_with_help(shown, &command.clone());
    }
    error.exit()
}

fn end_with_help(mut shown: Command, command: &str) -> ! {
    let mut at = &mut shown;
    for name in command.split(' ').skip(1) {
        match at.find_subcommand(name).is_some() {
            true => at = at.find_subcommand_mut(name).expect("just found"),
            false => break,
        }
    }
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "{}", at.render_help());
    std::process::exit(2)
}
