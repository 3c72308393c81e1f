//! `plugin new`: creates the folder of a new plugin.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::cli::output;
use crate::scaffold::{self, Language, PluginName, Sdk};

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// The plugin's name: a-z, 0-9, `-` and `_`. Its entrypoint has the same name
    name: PluginName,
    /// The language that its handlers are written in
    #[arg(long, value_enum, default_value = "rust")]
    lang: Language,
    /// The folder to create [default: one of that name]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// For Rust: a checkout of pgq-host whose pgq-plugin-sdk the crate uses [default: the one around
    /// the new folder, else a copy from this binary in vendor]
    #[arg(long, value_name = "DIR", env = "PGQ_HOST_SDK")]
    sdk: Option<PathBuf>,
    /// Print a JSON object: plugin, lang, path, sdk
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &NewArgs) -> anyhow::Result<()> {
    let folder = args.path.clone().unwrap_or_else(|| PathBuf::from(&*args.name));
    let named = args.sdk.as_ref().filter(|path| !path.as_os_str().is_empty() && args.lang == Language::Rust);
    let sdk = match named {
        Some(path) => Sdk::at(path)?,
        None => Sdk::around(&folder).filter(|_| args.lang == Language::Rust).unwrap_or(Sdk::Vendored),
    };
    scaffold::write(&folder, &args.name, args.lang, &sdk)?;
    let path = match &sdk {
        Sdk::Vendored => Path::new(args.lang.sdk_folder()),
        Sdk::Path(path) => path,
    };
    match &sdk {
        Sdk::Vendored => {
            let other =
                if args.lang == Language::Rust { " Use --sdk DIR to refer to the one in a checkout." } else { "" };
            output::status(&format!(
                "The SDK is in {}/{}, as shipped with this pgq-host.{other}",
                folder.display(),
                path.display()
            ));
        }
        Sdk::Path(_) => output::status(&format!("The SDK is the one in the checkout at {}.", path.display())),
    }
    let shown = folder.display();
    output::status(&format!(
        "Created the plugin {}. Next: cd {shown} && {} && pgq-host plugin build --out plugins",
        args.name,
        args.lang.next_step()
    ));
    if args.json {
        return output::object(
            &json!({ "plugin": *args.name, "lang": args.lang.label(), "path": shown.to_string(), "sdk": path.display().to_string() }),
        );
    }
    output::data(&shown.to_string())
}
