//! `sealing keygen`: a key, in a file that only its owner may read.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::json;

use crate::cli::output;
use crate::cli::usage::OrUsage as _;
use crate::sealing::read_keys_file;

#[derive(Debug, Args)]
pub(super) struct KeygenArgs {
    /// The id of the key, like the month in which it begins
    #[arg(value_parser = id)]
    id: String,
    /// The file, a JWK Set; if it is there, the key is put at its end
    #[arg(long, default_value = "sealing.jwks")]
    keys_file: PathBuf,
    /// Print a JSON object: `id`, `keys_file`
    #[arg(long)]
    json: bool,
}

fn id(text: &str) -> Result<String, String> {
    pgq_sealing::check_id(text).map(|()| text.to_owned())
}

pub(super) fn run(args: &KeygenArgs) -> anyhow::Result<()> {
    let (path, shown) = (&args.keys_file, args.keys_file.display().to_string());
    let before = match path.try_exists() {
        Ok(false) => None,
        _ => Some(read_keys_file(path).map_err(|error| anyhow!(error))?),
    };
    let key = pgq_sealing::new_key(&args.id)?;
    let all =
        pgq_sealing::with_key(before.as_ref().map(|text| text.as_slice()), &key).context(shown.clone()).or_usage()?;
    write(path, all.as_bytes()).with_context(|| format!("cannot write {shown}"))?;
    output::status(&format!(
        "Wrote {shown}; keep it secret, and keep it: without it, what is sealed is lost. Its first key seals, unless seal-with \
         under [sealing] names another."
    ));
    if args.json {
        return output::object(&json!({ "id": args.id, "keys_file": shown }));
    }
    output::data(&args.id)
}

/// The file appears whole or not at all, with the owner and the permissions that it had.
fn write(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o600)).tempfile_in(folder)?;
    file.write_all(text)?;
    if let Ok(before) = std::fs::metadata(path) {
        use std::os::unix::fs::MetadataExt as _;
        std::os::unix::fs::fchown(file.as_file(), Some(before.uid()), Some(before.gid()))?;
        file.as_file().set_permissions(before.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
