//! What to print when the command line cannot be run.

use std::error::Error as _;
use std::ffi::OsString;
use std::io::Write as _;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Print the message and end the process: with 0 after `--help` and `--version`, otherwise with 2.
/// `shown` is the whole command, built.
pub(super) fn end(mut shown: Command, error: clap::Error) -> ! {
    let typed: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut error = in_words(&mut shown, &typed, error);
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

/// The same error: a number that is none with what to write instead, and the usage of the verb without the
/// options that variables set, which clap takes for typed.
fn in_words(shown: &mut Command, typed: &[OsString], mut error: clap::Error) -> clap::Error {
    let verb = typed.iter().filter_map(|word| word.to_str()).filter(|word| !word.starts_with('-'));
    let at = verb_of(shown, verb);
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    if let Some(instead) = error.source().and_then(|source| instead(&source.to_string())) {
        let (arg, value) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue));
        return at.error(error.kind(), format!("invalid value '{value}' for '{arg}': {instead}"));
    }
    if error.get(ContextKind::Usage).is_some() {
        error.insert(ContextKind::Usage, ContextValue::StyledStr(at.render_usage()));
    }
    error
}

/// What to write instead of what the standard library could not read as a number, if that is what it says.
fn instead(error: &str) -> Option<&'static str> {
    Some(match error {
        "invalid digit found in string" | "cannot parse integer from empty string" => "write a whole number",
        "number too large to fit in target type" => "it is too large",
        "number too small to fit in target type" => "it is too small",
        "invalid float literal" | "cannot parse float from empty string" => "write a number, like 2 or 0.5",
        _ => return None,
    })
}

/// The verb that is among these words.
fn verb_of<'c, 'w>(shown: &'c mut Command, words: impl Iterator<Item = &'w str>) -> &'c mut Command {
    let mut at = shown;
    for name in words {
        // Others are values of options.
        if at.find_subcommand(name).is_some() {
            at = at.find_subcommand_mut(name).expect("just found");
        }
    }
    at
}

fn end_with_help(mut shown: Command, command: &str) -> ! {
    let at = verb_of(&mut shown, command.split(' ').skip(1));
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "{}", at.render_help());
    std::process::exit(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    fn said(words: &[&str]) -> String {
        let mut whole = Cli::whole().mut_arg("pg_dsn", |arg| arg.env("PATH"));
        let error = whole.clone().try_get_matches_from([&["pgq-host"], words].concat()).expect_err("it is wrong");
        let typed: Vec<OsString> = words.iter().map(OsString::from).collect();
        whole.build();
        in_words(&mut whole, &typed, error).to_string()
    }

    #[test]
    fn what_is_wrong_is_said_with_the_remedy_and_without_options_that_nobody_typed() {
        for words in
            [&["job"][..], &["probe"], &["requeue"], &["job", "1", "2"], &["pause", "--all"], &["plugin", "sign"]]
        {
            let said = said(words);
            assert!(said.contains(&format!("Usage: pgq-host {}", words[0])) && !said.contains("--pg-dsn"), "{said}");
        }
        assert!(said(&["job", "x"]).contains("invalid value 'x' for '<ID>': write a whole number"));
        assert!(said(&["job", "99999999999999999999"]).contains("it is too large"));
        assert!(said(&["--nope"]).contains("Usage: pgq-host [OPTIONS] <COMMAND>"));
    }
}
