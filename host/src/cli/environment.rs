//! Variables that stand for flags, under the rule of [`crate::environment`]. Clap alone would take
//! an empty variable for a value, would know only two ways to say yes, and would not say that a
//! value came from a variable.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};

use pgq_queue::environment::truth;

/// The command with the rule applied to all its variables. `is_empty` tells which ones are set to
/// nothing.
pub(super) fn unset_empty_variables(command: Command, is_empty: &impl Fn(&OsStr) -> bool) -> Command {
    let one = |arg: Arg| {
        let Some(name) = arg.get_env().map(OsStr::to_owned) else { return arg };
        let arg = if matches!(arg.get_action(), ArgAction::SetTrue) { arg.value_parser(truth) } else { arg };
        if is_empty(&name) { arg.env(Resettable::Reset) } else { arg }
    };
    command.mut_args(one).mut_subcommands(|command| unset_empty_variables(command, is_empty))
}

/// Whether this process has the variable set to nothing.
pub(super) fn is_empty(name: &OsStr) -> bool {
    std::env::var_os(name).is_some_and(|value| value.is_empty())
}

/// The same error, naming the variable that the rejected value came from, if it came from one.
pub(super) fn explain(command: &Command, error: clap::Error, env: impl Fn(&OsStr) -> Option<OsString>) -> clap::Error {
    if error.kind() == ErrorKind::InvalidUtf8 {
        let names = all(command)
            .into_iter()
            .filter_map(Arg::get_env)
            .filter(|name| env(name).is_some_and(|value| value.to_str().is_none()));
        let names: BTreeSet<_> = names.map(|name| name.display().to_string()).collect();
        if !names.is_empty() {
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            return clap::Error::raw(error.kind(), format!("the value of a variable is not valid UTF-8: {names}\n"));
        }
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (Some(arg), Some(value)) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue)) else {
        return error;
    };
    let came_from = |name: &&OsStr| env(name).is_some_and(|set| set.to_string_lossy() == value);
    let mut named = all(command).into_iter().filter(|known| known.to_string() == arg).filter_map(Arg::get_env);
    let Some(name) = named.find(came_from) else { return error };
    let accepted = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => format!("use {}", values.join(", ")),
        _ => {
            std::error::Error::source(&error).map(ToString::to_string).unwrap_or_else(|| format!("see {arg} in --help"))
        }
    };
    // The same kind and exit code as for a flag.
    clap::Error::raw(ErrorKind::ValueValidation, format!("the variable {} is {value:?}: {accepted}\n", name.display()))
}

/// All arguments of a command and its subcommands.
pub(super) fn all(command: &Command) -> Vec<&Arg> {
    command.get_arguments().chain(command.get_subcommands().flat_map(all)).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn variables(command: &Command) -> Vec<String> {
        all(command).iter().filter_map(|arg| arg.get_env()).map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn every_variable_that_is_empty_is_unset() {
        let declared = variables(&Cli::command());
        assert!(declared.len() > 20 && declared.iter().any(|name| name == "PGQ_HOST_BATCH_SIZE"), "{declared:?}");
        assert_eq!(variables(&unset_empty_variables(Cli::command(), &|_| true)), [""; 0]);
        assert_eq!(variables(&unset_empty_variables(Cli::command(), &|_| false)), declared);
    }
}
