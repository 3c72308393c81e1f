//! `completions`: the script with which a shell completes the command line.

use clap::{Args, Command};
use clap_complete::Shell;

use super::output;

const NAME: &str = "pgq-host";
/// In the script for bash, `clap_complete` tells a verb by its words with a sign between them, and takes a
/// hyphen in the program's name for such a sign in some places and not in others: no verb is found.
const BASH_NAME: &str = "pgqhost";

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

/// With the name of the program where the script says which one it is for.
fn for_bash(shell: Shell, script: String) -> String {
    if shell != Shell::Bash {
        return script;
    }
    let line = |line: &str| match line.trim_start().starts_with("complete -F ") {
        true => line.strip_suffix(BASH_NAME).map_or_else(|| line.to_owned(), |start| format!("{start}{NAME}")),
        false => line.to_owned(),
    };
    script.lines().map(line).collect::<Vec<_>>().join("\n")
}

pub(super) fn run(args: &CompletionsArgs, command: &Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    let name = if args.shell == Shell::Bash { BASH_NAME } else { NAME };
    clap_complete::generate(args.shell, &mut shown(command), name, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    output::data(for_bash(args.shell, script).trim_end())
}
