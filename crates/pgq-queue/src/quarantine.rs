//! Versions that operators took out of service by hand. No host serves such a version, whatever its
//! folder has, until the quarantine is lifted. It is a verdict that hosts of earlier releases take for
//! a roll-back, so that they obey it as well.

use serde_json::json;

use super::audit::Actor;
use super::text::Charset;
use super::{FleetCommand, Operator};
use pgq_job::judgement::{QUARANTINE, Standing};

/// A version of a plugin, by the digest of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    pub sha256: String,
    /// The plugin; where nobody has seen the file yet, whatever the operator calls it.
    pub plugin: String,
    pub version: Option<String>,
}

/// What an operator cannot do to a version.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    #[error("{0:?} is no sha256: it has 64 hexadecimal digits")]
    NoDigest(String),
    #[error("no quarantine of {0} is in force; `pgq-host plugin versions` and GET plugins list them")]
    Unknown(String),
    #[error("why is it quarantined? whoever finds the version refused has to know: give a reason")]
    NoReason,
    #[error(
        "the database has no table for verdicts, or this role may not use it: run `pgq-host upgrade` and \
         `pgq-host grant ROLE --apply`"
    )]
    NoTable,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

fn digest(sha256: &str) -> Result<String, QuarantineError> {
    let is_digest = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_digest { Ok(sha256.to_ascii_lowercase()) } else { Err(QuarantineError::NoDigest(sha256.to_owned())) }
}

impl Operator {
    /// Have no host serve this version from now on, and note who did it. A host that serves it goes
    /// back to the version before; without one, its jobs wait.
    ///
    /// # Errors
    ///
    /// Fails without a whole digest or a reason, or if the database does not answer.
    pub async fn quarantine(&self, version: &Quarantine, actor: &Actor) -> Result<(), QuarantineError> {
        let sha256 = digest(&version.sha256)?;
        let reason = actor.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
        let reason = reason.ok_or(QuarantineError::NoReason)?;
        self.check_verdicts().await?;
        let asked = json!({ "plugin": version.plugin, "version": version.version, "sha256": sha256 });
        self.begin_audit("quarantine", actor, &asked).await?;
        let fit = |text: &str| Charset::Ascii.fit(text).into_owned();
        sqlx::query(self.sql(include_str!("sql/operator/quarantine.sql")))
            .bind(sha256)
            .bind(fit(&version.plugin))
            .bind(version.version.as_deref().map(fit))
            .bind(Standing::RolledBack.label())
            .bind(fit(reason))
            .bind(QUARANTINE)
            .bind(fit(&actor.author))
            .bind(told()?)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Have hosts serve it again.
    ///
    /// # Errors
    ///
    /// Fails if it is not quarantined, or if the database does not answer.
    pub async fn lift_quarantine(&self, sha256: &str, actor: &Actor) -> Result<(), QuarantineError> {
        let sha256 = digest(sha256)?;
        self.check_verdicts().await?;
        let lift = sqlx::query(self.sql(include_str!("sql/operator/lift_quarantine.sql")));
        let lifted = lift.bind(sha256.clone()).bind(QUARANTINE).bind(told()?).fetch_optional(&self.pool).await?;
        if lifted.is_none() {
            return Err(QuarantineError::Unknown(sha256));
        }
        self.begin_audit("lift_quarantine", actor, &json!({ "sha256": sha256 })).await?;
        Ok(())
    }

    async fn check_verdicts(&self) -> Result<(), QuarantineError> {
        if self.features().await?.verdicts { Ok(()) } else { Err(QuarantineError::NoTable) }
    }
}

/// The command with which hosts read the verdicts again.
fn told() -> sqlx::Result<String> {
    serde_json::to_string(&FleetCommand::Judged).map_err(|error| sqlx::Error::Encode(error.into()))
}
