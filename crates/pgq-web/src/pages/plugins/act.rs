//! Changes what hosts do with plugins.

use axum::extract::State;
use axum::response::Response;
use pgq_queue::{FleetCommand, Quarantine, QuarantineError};
use serde_json::json;

use crate::pages::back::back;
use crate::pages::desk::Desk;
use crate::pages::fields::{Sent, wrong};
use crate::pages::flash::Flash;
use crate::pages::units::many;
use crate::problem::Problem;

const BACK: &str = "/plugins";

async fn hosts(desk: &Desk) -> Result<usize, Problem> {
    Ok(desk.site.operator.hosts_if_any().await?.len())
}

/// Delete what was found out about a plugin, an entrypoint or a file, and let hosts try it again.
pub(crate) async fn reset(State(desk): State<Desk>, Sent { visitor, fields }: Sent) -> Result<Response, Problem> {
    let name = fields.needed("name")?.to_owned();
    let operator = &desk.site.operator;
    let asked = json!({ "plugin": name });
    operator.begin_audit("reset", &visitor.actor(fields.text("reason")), &asked).await?;
    // Delete them before telling the hosts, which read them again.
    let forgotten = operator.forget_judgements(&name).await?;
    operator.command(&FleetCommand::Reset(name.clone())).await?;
    desk.forget().await;
    let verdicts = usize::try_from(forgotten).unwrap_or(usize::MAX);
    let said =
        format!("Reset {name:?}: deleted {}, told {}.", many(verdicts, "verdict"), many(hosts(&desk).await?, "host"));
    Ok(back(&desk, BACK, &Flash::good(said)))
}

/// Let hosts look at their folders and read their grants.
pub(crate) async fn reload(State(desk): State<Desk>, _: Sent) -> Result<Response, Problem> {
    desk.site.operator.command(&FleetCommand::Rescan).await?;
    let told = many(hosts(&desk).await?, "host");
    Ok(back(&desk, BACK, &Flash::good(format!("Told {told} to scan their folders again."))))
}

/// Take a version out of service on all hosts.
pub(crate) async fn rollback(State(desk): State<Desk>, Sent { visitor, fields }: Sent) -> Result<Response, Problem> {
    let (name, sha256) = (fields.needed("name")?, fields.needed("sha256")?);
    let known = desk.site.operator.plugins().await?;
    let plugin = known.plugins.iter().find(|plugin| plugin.name == name);
    let versions = plugin.map(|plugin| plugin.versions.as_slice()).unwrap_or_default();
    let version = versions.iter().find(|version| version.sha256 == sha256);
    let version = version.ok_or_else(|| wrong("sha256", sha256, &format!("the digest of a version of {name:?}")))?;
    let reason = fields.text("reason");
    let why = match reason {
        Some(reason) => format!("{} rolled it back: {reason}", visitor.name),
        None => format!("{} rolled it back", visitor.name),
    };
    let operator = &desk.site.operator;
    let asked = json!({ "plugin": name, "version": version.version, "sha256": sha256 });
    operator.begin_audit("rollback", &visitor.actor(reason), &asked).await?;
    operator.roll_back_version(name, &version.version, sha256, &why).await?;
    desk.forget().await;
    let serving = version.stable_on.len() + version.canary_on.len();
    let said = format!(
        "Rolled back {name} {}: {} that served it go back to the version before.",
        version.version,
        many(serving, "host")
    );
    Ok(back(&desk, BACK, &Flash::good(said)))
}

/// Have no host serve a version until it is lifted.
pub(crate) async fn quarantine(State(desk): State<Desk>, Sent { visitor, fields }: Sent) -> Result<Response, Problem> {
    let (name, sha256, reason) = (fields.needed("name")?, fields.needed("sha256")?, fields.needed("reason")?);
    let known = desk.site.operator.plugins().await?;
    let (_, version) =
        known.find(sha256).ok_or_else(|| wrong("sha256", sha256, &format!("the digest of a version of {name:?}")))?;
    let wanted =
        Quarantine { sha256: sha256.to_owned(), plugin: name.to_owned(), version: Some(version.version.clone()) };
    desk.site.operator.quarantine(&wanted, &visitor.actor(Some(reason))).await?;
    desk.forget().await;
    let serving = version.stable_on.len() + version.canary_on.len();
    let said = format!("Quarantined {name} {}: told {} that served it.", version.version, many(serving, "host"));
    Ok(back(&desk, BACK, &Flash::good(said)))
}

/// Have hosts serve it again.
pub(crate) async fn lift(State(desk): State<Desk>, Sent { visitor, fields }: Sent) -> Result<Response, Problem> {
    let sha256 = fields.needed("sha256")?;
    let flash = match desk.site.operator.lift_quarantine(sha256, &visitor.actor(fields.text("reason"))).await {
        Ok(()) => Flash::good("Lifted: hosts whose folder has the file serve it again.".to_owned()),
        Err(error @ QuarantineError::Unknown(_)) => Flash::bad(format!("Nothing was done: {error}.")),
        Err(error) => return Err(error.into()),
    };
    desk.forget().await;
    Ok(back(&desk, BACK, &flash))
}
