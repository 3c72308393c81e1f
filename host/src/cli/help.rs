//! What to print when the command line cannot be run.

use std::io::Write as _;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Print the message and end the process: with 0 after `--help` and `--version`, otherwise with 2.
/// `shown` is the whole command, built.
pub(super) fn end(shown: Command, mut error: clap::Error) -> ! {
    let hidden = |name: &str| shown.find_subcommand(name).is_some_and(Command::is_hide_set);
    if let Some(ContextValue::Strings(similar)) = error.get(ContextKind::SuggestedSubcommand) {
        let shown = similar.iter().filter(|name| !hidden(name)).cloned().collect::<Vec<_>>();
        error.remove(ContextKind::SuggestedSubcommand);
        if !shown.is_empty() {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(shown));
        }
    }
    // If a variable sets a global option, clap reports that a verb is missing and lists all of
    // them, even hidden ones. The user typed nothing, so show the help instead.
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
