//! The verdicts on versions of plugins, which all hosts of a queue share.

use std::time::{Duration, Instant};

use sqlx::Row as _;

use super::millis::millis;
use super::{Operator, Queue};
use pgq_job::judgement::{Judgement, Standing};

/// A guest's text, made fit for any encoding of a database.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() && c != '\0' { c } else { '?' }).take(2_000).collect()
}

impl Queue {
    /// Whether the database has the table for verdicts.
    pub fn keeps_judgements(&self) -> bool {
        self.sql.features.verdicts
    }

    /// All verdicts, with their [fingerprint](super::Seen::verdicts); none where the database lacks
    /// the table.
    pub async fn judgements(&self) -> sqlx::Result<(Vec<Judgement>, Option<String>)> {
        if !self.keeps_judgements() {
            return Ok((Vec::new(), None));
        }
        let rows = sqlx::query(self.sql.verdicts.clone()).fetch_all(&self.pool).await?;
        let now = Instant::now();
        let fingerprint = rows.first().map(|row| row.try_get("fingerprint")).transpose()?;
        let mut judgements = Vec::with_capacity(rows.len());
        for row in rows {
            let left: Option<i64> = row.try_get("left_ms")?;
            let left = Duration::from_millis(left.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0))
                .min(Duration::from_secs(86_400));
            let Some(verdict) = row.try_get::<Option<&str>, _>("verdict")? else { continue };
            let standing = match verdict {
                "good" => Standing::Good,
                "refused" => Standing::Refused,
                "rolled_back" => Standing::RolledBack,
                "paused" => Standing::Paused(now + left),
                // A verdict that only a later release knows.
                _ => continue,
            };
            judgements.push(Judgement {
                sha256: row.try_get("sha256")?,
                plugin: row.try_get("name")?,
                version: row.try_get("version")?,
                entrypoint: row.try_get("entrypoint")?,
                standing,
                reason: row.try_get("reason")?,
                rules: row.try_get("rules")?,
                host: row.try_get("host")?,
            });
        }
        Ok((judgements, fingerprint))
    }

    /// Write these verdicts, one per subject, and notify the other hosts.
    pub async fn judge(&self, judgements: &[Judgement]) -> sqlx::Result<()> {
        let now = Instant::now();
        let left = |judgement: &Judgement| match judgement.standing {
            Standing::Paused(until) => Some(millis(until.saturating_duration_since(now))),
            _ => None,
        };
        let all = |text: fn(&Judgement) -> String| judgements.iter().map(text).collect::<Vec<String>>();
        let some =
            |text: fn(&Judgement) -> Option<String>| judgements.iter().map(text).collect::<Vec<Option<String>>>();
        sqlx::query(self.sql.record_verdicts.clone())
            .bind(all(Judgement::subject))
            .bind(all(|judgement| judgement.sha256.clone()))
            .bind(all(|judgement| ascii(&judgement.plugin)))
            .bind(some(|judgement| judgement.version.as_deref().map(ascii)))
            .bind(some(|judgement| judgement.entrypoint.clone()))
            .bind(all(|judgement| judgement.standing.label().to_owned()))
            .bind(all(|judgement| ascii(&judgement.reason)))
            .bind(all(|judgement| judgement.rules.clone()))
            .bind(judgements.iter().map(left).collect::<Vec<_>>())
            .bind(rustix::system::uname().nodename().to_string_lossy().into_owned())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

impl Operator {
    /// Take a version out of service on all hosts, as a host does whose runs of it crash: each goes
    /// back to the version that it served before.
    pub async fn roll_back_version(&self, name: &str, version: &str, sha256: &str, reason: &str) -> sqlx::Result<()> {
        sqlx::query(self.sql(include_str!("sql/worker/record_verdicts.sql")))
            .bind(vec![sha256.to_owned()])
            .bind(vec![sha256.to_owned()])
            .bind(vec![ascii(name)])
            .bind(vec![ascii(version)])
            .bind(vec![None::<String>])
            .bind(vec![Standing::RolledBack.label()])
            .bind(vec![ascii(reason)])
            .bind(vec![String::new()])
            .bind(vec![None::<i64>])
            .bind("an operator")
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Delete the verdicts on this plugin or entrypoint. Returns how many there were.
    pub async fn forget_judgements(&self, name: &str) -> sqlx::Result<u64> {
        match sqlx::query(self.sql(include_str!("sql/operator/forget_verdicts.sql")))
            .bind(name)
            .execute(&self.pool)
            .await
        {
            Ok(done) => Ok(done.rows_affected()),
            // The schema of an earlier release lacks the table.
            Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code == "42P01") => Ok(0),
            Err(error) => Err(error),
        }
    }
}
