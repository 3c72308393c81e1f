//! Chromium, driven by `tests/web/page.mjs`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// A browser on pages at this address.
pub struct Browser {
    folder: PathBuf,
    chromium: PathBuf,
    address: String,
}

/// `chromium` of the system, or the file that CHROMIUM names.
fn chromium() -> Option<PathBuf> {
    if let Some(file) = std::env::var_os("CHROMIUM") {
        return Some(file.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path)
        .flat_map(|folder| ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name)));
    files.find(|file| file.is_file())
}

impl Browser {
    /// `None`, with a message, on a machine without a browser.
    pub fn at(address: &str) -> Option<Browser> {
        let Some(chromium) = chromium() else {
            eprintln!(
                "SKIPPED: there is no Chromium, so no page was clicked; `make web` installs it for root, or name one by CHROMIUM"
            );
            return None;
        };
        let test = std::env::current_exe().expect("this test");
        let folder = test.ancestors().nth(3).expect("a target folder").join("web");
        assert!(
            folder.join("node_modules/playwright-core").is_dir(),
            "{} has no node_modules/playwright-core: run `make test` or `make web`",
            folder.display()
        );
        Some(Browser { folder, chromium, address: address.to_owned() })
    }

    /// The command for a step of `page.mjs`.
    pub fn command(&self, step: &str, argument: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/page.mjs");
        let mut command = Command::new("node");
        command.arg(script).args([step, &self.address, argument]).current_dir(&self.folder);
        command.env("CHROMIUM", &self.chromium).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Do it, and see that the page does what it says.
    pub async fn does(&self, step: &str, argument: &str) {
        let output = self.command(step, argument).output().await.expect("node");
        assert!(output.status.success(), "{step} {argument}:\n{}", String::from_utf8_lossy(&output.stderr));
    }
}
