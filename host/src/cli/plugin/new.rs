//! `plugin new`: the crate of a new plugin.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::output;
use crate::scaffold::{self, PluginName, Sdk};

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// What it is called: a-z, 0-9, `-` and `_`. Its entrypoint has the same name
    name: PluginName,
    /// The folder to make [default: one of that name]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// A checkout of pgq-host whose pgq-plugin-sdk is referred to [default: one around the new
    /// folder, else a copy from this binary in vendor]
    #[arg(long, value_name = "DIR", env = "PGQ_HOST_SDK")]
    sdk: Option<PathBuf>,
    /// Print a JSON object: plugin, path, sdk
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &NewArgs) -> anyhow::Result<()> {
    let folder = args.path.clone().unwrap_or_else(|| PathBuf::from(&*args.name));
    let sdk = match args.sdk.as_ref().filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => Sdk::at(path)?,
        None => Sdk::around(&folder).unwrap_or(Sdk::Vendored),
    };
    scaffold::write(&folder, &args.name, &sdk)?;
    let place = sdk.place();
    match &sdk {
        Sdk::Vendored => output::status(&format!(
            "The SDK is in {}/{}, as this pgq-host has it; --sdk DIR refers to the one of a checkout instead.",
            folder.display(),
            place.display()
        )),
        Sdk::Path(_) => output::status(&format!("The SDK comes from the checkout, {}.", place.display())),
    }
    let shown = folder.display();
    output::status(&format!(
        "Made the plugin {}. Next: cd {shown} && cargo test && pgq-host plugin build --out plugins",
        args.name
    ));
    if args.json {
        return output::object(
            &json!({ "plugin": *args.name, "path": shown.to_string(), "sdk": place.display().to_string() }),
        );
    }
    output::data(&shown.to_string())
}
