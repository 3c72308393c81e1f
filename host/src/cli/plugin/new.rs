//! `plugin new`: the crate of a new plugin.

use std::path::PathBuf;

use clap::Args;

use crate::cli::output;
use crate::scaffold::{self, PluginName, Sdk};

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// What it is called: a-z, 0-9, `-` and `_`. Its entrypoint has the same name
    name: PluginName,
    /// The folder to make [default: one of that name]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// A checkout of pgq-host to take pgq-plugin-sdk from [default: one around the new folder, else crates.io]
    #[arg(long, value_name = "DIR", env = "PGQ_HOST_SDK")]
    sdk: Option<PathBuf>,
}

pub(super) fn run(args: &NewArgs) -> anyhow::Result<()> {
    let folder = args.path.clone().unwrap_or_else(|| PathBuf::from(&*args.name));
    let sdk = match args.sdk.as_ref().filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => Sdk::at(path)?,
        None => Sdk::around(&folder).unwrap_or(Sdk::Registry),
    };
    scaffold::write(&folder, &args.name, &sdk)?;
    match &sdk {
        Sdk::Registry => output::status("The SDK comes from crates.io; --sdk DIR takes it from a checkout of pgq-host."),
        Sdk::Path(path) => output::status(&format!("The SDK comes from the checkout, {}.", path.display())),
    }
    let shown = folder.display();
    output::status(&format!("Made the plugin {}. Next: cd {shown} && cargo test && pgq-host plugin build --out plugins", args.name));
    output::data(&shown.to_string())
}
