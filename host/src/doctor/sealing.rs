//! Checks whether the keys of payloads can be read, if there are to be any.

use super::deployment::Deployment;
use super::finding::Finding;

pub(super) async fn check(deployment: &Deployment) -> Vec<Finding> {
    let settings = &deployment.sealing;
    let Some(source) = &settings.source else { return Vec::new() };
    let read = source.read().await;
    let found =
        read.and_then(|keys| keys.seals(settings.seal_with.as_deref()).map(|key| (keys.names(), key.id().to_owned())));
    vec![match found {
        Ok((names, seals)) => Finding::ok(format!("payloads are opened with {names}, and sealed with {seals:?}")),
        Err(cause) => Finding::error(
            format!("the keys of sealed payloads: {cause}"),
            "a host does not start without its keys",
            "mend the file or the command that [sealing] in pgq-host.toml names, as the hosts' user",
        ),
    }]
}
