//! `plugin new`: creates the crate of a new plugin.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::output;
use crate::scaffold::{self, PluginName, Sdk};

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// The plugin's name: a-z, 0-9, `-` and `_`. Its entrypoint has the same name
    name: PluginName,
    /// The folder to create [default: one of that name]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// A checkout of pgq-host whose pgq-plugin-sdk the crate uses [default: the one around the new
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
    let path = sdk.path();
    match &sdk {
        Sdk::Vendored => output::status(&format!(
            "The SDK is in {}/{}, as shipped with this pgq-host. Use --sdk DIR to refer to the one in a checkout.",
            folder.display(),
            path.display()
        )),
        Sdk::Path(_) => output::status(&format!("The SDK is the one in the checkout at {}.", path.display())),
    }
    let shown = folder.display();
    output::status(&format!(
        "Created the plugin {}. Next: cd {shown} && cargo test && pgq-host plugin build --out plugins",
        args.name
    ));
    if args.json {
        return output::object(
            &json!({ "plugin": *args.name, "path": shown.to_string(), "sdk": path.display().to_string() }),
        );
    }
    output::data(&shown.to_string())
}
