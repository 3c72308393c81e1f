//! Reads what was answered, up to a limit.

use reqwest::Response;

use super::error::RegistryError;

/// The error of a request that did not come to its end, without what its address has in its query.
pub(super) fn unreachable(url: &str, error: reqwest::Error) -> RegistryError {
    let error = error.without_url();
    let mut cause = error.to_string();
    let mut source = std::error::Error::source(&error);
    // reqwest names the cause only in the errors beneath.
    while let Some(inner) = source {
        let text = inner.to_string();
        if !cause.contains(&text) {
            cause = format!("{cause}: {text}");
        }
        source = inner.source();
    }
    RegistryError::Unreachable { url: url.to_owned(), cause }
}

/// The whole body, if it has at most this many bytes.
pub(super) async fn read(mut response: Response, url: &str, most: u64) -> Result<Vec<u8>, RegistryError> {
    let too_large = || RegistryError::TooLarge { url: url.to_owned(), most };
    let told = response.content_length().unwrap_or(0);
    if told > most {
        return Err(too_large());
    }
    // Nothing is reserved on the word of the other side beyond a first portion.
    let mut bytes = Vec::with_capacity(usize::try_from(told.min(1 << 20)).unwrap_or(0));
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(url, error))? {
        if bytes.len() as u64 + chunk.len() as u64 > most {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
