//! Credentials the Docker way: `config.json`, and helpers that it names.

use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError, DockerCredential};

use super::error::RegistryError;
use super::limits;

/// What a registry, or who hands out its tokens, is told.
#[derive(Clone)]
pub(super) enum Credentials {
    Password {
        name: String,
        password: String,
    },
    /// A token that other tokens are made of.
    Identity(String),
}

/// Under which name Docker keeps those of its own registry.
const DOCKER_HUB: (&str, &str) = ("registry-1.docker.io", "https://index.docker.io/v1/");

/// Whether there is a `config.json`. The crate says of a missing one that it cannot be read.
fn is_there() -> bool {
    let folder = |key: &str| std::env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = folder("DOCKER_CONFIG").or_else(|| Some(folder("HOME")?.join(".docker")));
    folder.is_some_and(|folder| folder.join("config.json").try_exists().unwrap_or(true))
}

/// The credentials of this registry, if there are any.
pub(super) async fn of(registry: &str) -> Result<Option<Credentials>, RegistryError> {
    let server = if registry == DOCKER_HUB.0 { DOCKER_HUB.1 } else { registry }.to_owned();
    let wrong = |cause: String| RegistryError::Credentials { registry: registry.to_owned(), cause };
    // A helper is another program.
    let found = tokio::task::spawn_blocking(move || match is_there() {
        true => docker_credential::get_credential(&server),
        false => Err(CredentialRetrievalError::ConfigNotFound),
    });
    let found = tokio::time::timeout(limits::HELPER, found).await;
    match found.map_err(|_| wrong(format!("the helper did not answer within {:?}", limits::HELPER)))? {
        Ok(Ok(DockerCredential::UsernamePassword(name, password))) => {
            Ok(Some(Credentials::Password { name, password }))
        }
        Ok(Ok(DockerCredential::IdentityToken(token))) => Ok(Some(Credentials::Identity(token))),
        Ok(Err(CredentialRetrievalError::ConfigNotFound | CredentialRetrievalError::NoCredentialConfigured)) => {
            Ok(None)
        }
        // What a helper printed may be anything.
        Ok(Err(CredentialRetrievalError::HelperFailure { helper, .. })) => {
            Err(wrong(format!("the helper {helper:?} failed; run it by hand to see why")))
        }
        Ok(Err(error)) => Err(wrong(error.to_string())),
        Err(_) => Err(wrong("the helper panicked".into())),
    }
}
