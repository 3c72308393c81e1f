//! `completions`: the script with which a shell completes the command line.

use clap::{Args, Command};
use clap_complete::Shell;

use super::output;

const NAME: &str = "pgq-host";

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// The command without what is hidden, as far as a shell has to know it.
fn shown(command: &Command) -> Command {
    // clap wants names for good, and this process ends with the script.
    let name: &'static str = Box::leak(command.get_name().to_owned().into_boxed_str());
    let mut shown = Command::new(name).disable_help_subcommand(true);
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if command.get_version().is_some() {
        shown = shown.version(crate::version::BUILD);
    }
    let arguments = command.get_arguments().filter(|arg| !arg.is_hide_set()).cloned();
    let verbs =
        command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help").map(self::shown);
    shown.args(arguments).subcommands(verbs)
}

pub(super) fn run(args: &CompletionsArgs, command: &Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown(command), NAME, &mut script);
    output::data(String::from_utf8_lossy(&script).trim_end())
}
