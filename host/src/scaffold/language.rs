//! The languages that a plugin can be written in, and what a new plugin of each is made of.

use clap::ValueEnum;

/// A path in the plugin's folder, and the file's bytes.
pub(super) type File = (&'static str, &'static [u8]);

/// The arrays of files: those of the templates, which have placeholders, and those of the SDKs and
/// the interface, which have none.
mod files {
    include!(concat!(env!("OUT_DIR"), "/language_files.rs"));
}

/// Rust's.
const RUST: &[File] = &[
    ("Cargo.toml", include_bytes!("template/Cargo.toml.in")),
    ("src/lib.rs", include_bytes!("template/lib.rs")),
    ("README.md", include_bytes!("template/README.md")),
    ("payload.json", include_bytes!("template/payload.json")),
    ("rust-toolchain.toml", include_bytes!("template/rust-toolchain.toml")),
    (".cargo/config.toml", include_bytes!("template/cargo-config.toml")),
    (".gitignore", include_bytes!("template/gitignore")),
];

/// A language with an SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Rust,
    Python,
    /// JavaScript
    Js,
    /// TypeScript
    Ts,
    Go,
    C,
}

impl Language {
    /// As it is given on the command line.
    pub fn label(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Python => "python",
            Language::Js => "js",
            Language::Ts => "ts",
            Language::Go => "go",
            Language::C => "c",
        }
    }

    /// What comes after `cd`: the tools, if they are not there, and the tests.
    pub fn next_step(self) -> &'static str {
        match self {
            Language::Rust => "cargo test",
            Language::Python => {
                "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && PYTHONPATH=src:vendor python3 -m unittest discover tests"
            }
            Language::Js | Language::Ts => "npm ci && npm test",
            Language::Go => {
                "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && PATH=\"$PWD/.venv/bin:$PATH\" go test ./..."
            }
            Language::C => "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && make test",
        }
    }

    /// Where a new plugin has its copy of the SDK.
    pub fn sdk_folder(self) -> &'static str {
        match self {
            Language::Rust => super::sdk::VENDORED,
            Language::Python => "vendor/pgq",
            Language::Js | Language::Ts => "vendor/pgq-plugin",
            // `vendor` means something else to Go.
            Language::Go => "sdk/pgq",
            Language::C => "vendor/pgq",
        }
    }

    /// The files of a new plugin that have placeholders in them.
    pub(super) fn template(self) -> &'static [File] {
        match self {
            Language::Rust => RUST,
            Language::Python => files::PYTHON,
            Language::Js => files::JS,
            Language::Ts => files::TS,
            Language::Go => files::GO,
            Language::C => files::C,
        }
    }

    /// The SDK and the interface. Rust's are in [`super::sdk`], since a checkout can stand for them.
    pub(super) fn vendored(self) -> impl Iterator<Item = (String, &'static [u8])> {
        let sdk = match self {
            Language::Rust => &[][..],
            Language::Python => files::PYTHON_SDK,
            Language::Js | Language::Ts => files::JS_SDK,
            Language::Go => files::GO_SDK,
            Language::C => files::C_SDK,
        };
        let wit = if self == Language::Rust { &[][..] } else { files::WIT };
        let below = |folder: &'static str| move |(path, bytes): &File| (format!("{folder}/{path}"), *bytes);
        let licences = if self == Language::Rust { &[][..] } else { files::LICENCES };
        let sdk = sdk.iter().chain(licences).map(below(self.sdk_folder()));
        sdk.chain(wit.iter().map(below("wit")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_npm_installs_is_pinned_by_version_and_digest() {
        for language in [Language::Js, Language::Ts] {
            let json = |wanted: &str| -> Value {
                let file =
                    language.template().iter().find(|(path, _)| *path == wanted).expect("a file of the template");
                serde_json::from_slice(file.1).expect("JSON")
            };
            let (manifest, lock) = (json("package.json"), json("package-lock.json"));
            let packages = lock["packages"].as_object().expect("packages");
            for kind in ["dependencies", "devDependencies"] {
                assert_eq!(
                    packages[""][kind], manifest[kind],
                    "sdk/locks.sh makes the lock file of {language:?} again"
                );
            }
            let pinned = packages.iter().filter(|(name, _)| !["", "node_modules/pgq-plugin"].contains(&name.as_str()));
            assert!(pinned.clone().count() > 50);
            for (name, package) in pinned {
                assert!(package["integrity"].as_str().is_some_and(|digest| digest.starts_with("sha512-")), "{name}");
                assert!(package.get("resolved").is_none(), "{name} comes from one registry only");
            }
            let shim = &packages["node_modules/@bytecodealliance/preview2-shim"]["version"];
            assert_eq!(*shim, manifest["overrides"]["@bytecodealliance/preview2-shim"]);
        }
    }
}
