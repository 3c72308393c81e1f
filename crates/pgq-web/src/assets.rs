//! The files that pages are shown with: in the binary, each under an address with its digest, so that
//! a browser keeps it for a year and never has an old one.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use sha2::{Digest as _, Sha256};

/// A file, as it was when this binary was built.
#[derive(Debug)]
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

/// A file of `assets` of this kind.
macro_rules! asset {
    ($name:literal, $kind:literal) => {
        Asset { name: $name, kind: $kind, bytes: include_bytes!(concat!("../assets/", $name)) }
    };
}

static ASSETS: [Asset; 7] = [
    asset!("style.css", "text/css; charset=utf-8"),
    asset!("app.js", "text/javascript; charset=utf-8"),
    asset!("htmx.min.js", "text/javascript; charset=utf-8"),
    asset!("idiomorph.min.js", "text/javascript; charset=utf-8"),
    asset!("icon.svg", "image/svg+xml"),
    asset!("inter.woff2", "font/woff2"),
    asset!("jetbrains-mono.woff2", "font/woff2"),
];

/// One digest of all: the style sheet names the fonts that lie beside it.
static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for asset in &ASSETS {
        digest.update(asset.name);
        digest.update(asset.bytes);
    }
    digest.finalize().iter().take(8).fold(String::new(), |mut digits, byte| {
        // Writing to a string never fails.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
});

/// The path of this file, below the site's prefix.
pub(crate) fn path(name: &str) -> String {
    format!("/assets/{}/{name}", *DIGEST)
}

/// A file by its digest and name. Names are compared, never looked up in a file system.
pub(crate) async fn serve(Path((digest, name)): Path<(String, String)>) -> Response {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    match asset.filter(|_| digest == *DIGEST) {
        Some(asset) => {
            let headers = [
                (header::CONTENT_TYPE, asset.kind),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, asset.bytes).into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is no such file in this version").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_has_one_address_and_a_path_leads_nowhere_else() {
        let get = async |digest: &str, name: &str| serve(Path((digest.to_owned(), name.to_owned()))).await.status();
        assert_eq!(path("app.js"), format!("/assets/{}/app.js", *DIGEST));
        assert_eq!(get(&DIGEST, "app.js").await, StatusCode::OK);
        assert_eq!(get("0", "app.js").await, StatusCode::NOT_FOUND);
        for name in ["", "../app.js", "../../Cargo.toml", "/etc/passwd", "app.js\0"] {
            assert_eq!(get(&DIGEST, name).await, StatusCode::NOT_FOUND, "{name}");
        }
    }
}
