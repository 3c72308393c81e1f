//! Changes of what hosts do: pauses, plugins, schedules.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use pgq_queue::{FleetCommand, PauseOrder, PauseTarget};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ask::{Body, bad};
use crate::job_filter::duration;
use crate::problem::Problem;
use crate::site::Site;
use crate::visitor::{Role, Visitor};

/// What to pause or resume.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseBody {
    /// `all`, `plugin`, `entrypoint` or `sha256`.
    kind: String,
    /// Its name, or how the sha256 begins.
    #[serde(default)]
    name: String,
    /// Why. A pause needs a reason.
    reason: Option<String>,
    /// How long, in seconds like `30`, or with a unit like `15m`; none: until it is resumed.
    lasts: Option<String>,
    /// Skip ticks of schedules meanwhile; otherwise their jobs wait.
    #[serde(default)]
    skip_ticks: bool,
}

impl PauseBody {
    fn target(&self) -> Result<PauseTarget, Problem> {
        let name = || match self.name.as_str() {
            "" => Err(bad(format!("name: which {} is to be paused or resumed?", self.kind))),
            name => Ok(name.to_owned()),
        };
        match self.kind.as_str() {
            "all" if self.name.is_empty() => Ok(PauseTarget::All),
            "all" => Err(bad("name: all have no name; leave it out")),
            "plugin" => Ok(PauseTarget::Plugin(name()?)),
            "entrypoint" => Ok(PauseTarget::Entrypoint(name()?)),
            "sha256" => {
                let digits = name()?;
                match digits.len() <= 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    true => Ok(PauseTarget::Sha256(digits.to_ascii_lowercase())),
                    false => Err(bad(format!("name: {digits:?} has other characters than hexadecimal digits"))),
                }
            }
            kind => Err(bad(format!("kind: {kind:?} is none; it is one of all, plugin, entrypoint, sha256"))),
        }
    }
}

/// A pause that holds now.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Paused {
    /// `null`: until it is resumed.
    until: Option<DateTime<Utc>>,
    /// Hosts that were told. Workers in Python know nothing of pauses.
    hosts: usize,
}

async fn check_pauses(site: &Site) -> Result<(), Problem> {
    if site.operator.knows_pauses().await? {
        return Ok(());
    }
    let detail = "the database has no table for pauses, or this role may not use it: run `pgq-host upgrade` and `pgq-host grant ROLE --apply`";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
}

/// Pause something in the whole fleet: hosts claim no jobs of it.
#[utoipa::path(
    post, path = "/pauses", request_body = PauseBody,
    responses((status = 200, body = Paused), (status = "default", body = Problem))
)]
pub(super) async fn pause(
    State(site): State<Site>,
    visitor: Visitor,
    Body(body): Body<PauseBody>,
) -> Result<Json<Paused>, Problem> {
    visitor.require(Role::Operator)?;
    let target = body.target()?;
    let lasts: Option<Duration> = body.lasts.as_deref().map(|text| duration("lasts", text)).transpose()?;
    let reason =
        body.reason.filter(|reason| !reason.trim().is_empty()).ok_or_else(|| bad("reason: why is it paused?"))?;
    check_pauses(&site).await?;
    let (author, skips_ticks) = (visitor.name.to_string(), body.skip_ticks);
    let order = PauseOrder { target, reason, author, lasts, skips_ticks };
    let until = site.operator.pause(&order).await?;
    let asked = json!({ "target": order.target, "until": until, "skip_ticks": skips_ticks });
    site.operator.begin_audit("pause", &visitor.actor(Some(&order.reason)), &asked).await?;
    Ok(Json(Paused { until, hosts: site.operator.hosts_if_any().await?.len() }))
}

/// Resume something.
#[utoipa::path(
    post, path = "/pauses/resume", request_body = PauseBody,
    responses((status = 204), (status = 404, body = Problem), (status = "default", body = Problem))
)]
pub(super) async fn resume(
    State(site): State<Site>,
    visitor: Visitor,
    Body(body): Body<PauseBody>,
) -> Result<StatusCode, Problem> {
    visitor.require(Role::Operator)?;
    let target = body.target()?;
    check_pauses(&site).await?;
    if !site.operator.resume(&target).await? {
        let detail = format!("{} {:?} is not paused; GET pauses lists what is", body.kind, body.name);
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    }
    site.operator.begin_audit("resume", &visitor.actor(body.reason.as_deref()), &json!({ "target": target })).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResetBody {
    /// The name of a plugin or an entrypoint, or of a refused file without its extension.
    name: String,
    reason: Option<String>,
}

/// Hosts that were told.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Told {
    hosts: usize,
    /// Verdicts that were deleted.
    verdicts: u64,
}

/// Forget what was found out about a plugin or an entrypoint, and close its circuit breakers.
#[utoipa::path(
    post, path = "/plugins/reset", request_body = ResetBody,
    responses((status = 200, body = Told), (status = "default", body = Problem))
)]
pub(super) async fn reset(
    State(site): State<Site>,
    visitor: Visitor,
    Body(body): Body<ResetBody>,
) -> Result<Json<Told>, Problem> {
    visitor.require(Role::Operator)?;
    let operator = &site.operator;
    let asked = json!({ "plugin": body.name });
    operator.begin_audit("reset", &visitor.actor(body.reason.as_deref()), &asked).await?;
    // Delete them before telling the hosts, which read them again.
    let verdicts = operator.forget_judgements(&body.name).await?;
    operator.command(&FleetCommand::Reset(body.name)).await?;
    Ok(Json(Told { hosts: operator.hosts_if_any().await?.len(), verdicts }))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RollBackBody {
    /// The plugin.
    name: String,
    /// The whole digest of the version to take out of service.
    sha256: String,
    reason: Option<String>,
}

/// Take a version out of service on all hosts: each goes back to the one that it served before.
#[utoipa::path(
    post, path = "/plugins/roll-back", request_body = RollBackBody,
    responses((status = 200, body = Told), (status = 404, body = Problem), (status = "default", body = Problem))
)]
pub(super) async fn roll_back(
    State(site): State<Site>,
    visitor: Visitor,
    Body(body): Body<RollBackBody>,
) -> Result<Json<Told>, Problem> {
    visitor.require(Role::Operator)?;
    let operator = &site.operator;
    let known = operator.plugins().await?.plugins;
    let versions = known.iter().filter(|plugin| plugin.name == body.name).flat_map(|plugin| &plugin.versions);
    let version = versions.into_iter().find(|version| version.sha256 == body.sha256).ok_or_else(|| {
        let detail =
            format!("{:?} has no version with the sha256 {:?}; GET plugins lists them", body.name, body.sha256);
        Problem::new(StatusCode::NOT_FOUND, detail)
    })?;
    let why = body.reason.as_deref().map_or_else(
        || format!("{} rolled it back", visitor.name),
        |reason| format!("{} rolled it back: {reason}", visitor.name),
    );
    let asked = json!({ "plugin": body.name, "version": version.version, "sha256": body.sha256 });
    operator.begin_audit("rollback", &visitor.actor(body.reason.as_deref()), &asked).await?;
    operator.roll_back_version(&body.name, &version.version, &body.sha256, &why).await?;
    Ok(Json(Told { hosts: version.stable_on.len() + version.canary_on.len(), verdicts: 0 }))
}

/// Let all hosts scan their folders again.
#[utoipa::path(
    post, path = "/plugins/reload",
    responses((status = 200, body = Told), (status = "default", body = Problem))
)]
pub(super) async fn reload(State(site): State<Site>, visitor: Visitor) -> Result<Json<Told>, Problem> {
    visitor.require(Role::Operator)?;
    site.operator.command(&FleetCommand::Rescan).await?;
    Ok(Json(Told { hosts: site.operator.hosts_if_any().await?.len(), verdicts: 0 }))
}
