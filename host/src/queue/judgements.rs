//! The verdicts on versions of plugins, which all hosts of a queue share.

use std::time::{Duration, Instant};

use sqlx::Row as _;

use super::{Operator, Queue, millis};
use crate::judgement::{Judgement, Standing};

/// The newest of them. A verdict is a row per version at most, and old ones go, so that this is far more than there are.
pub(super) const READ: &str = "
SELECT sha256, name, version, entrypoint, verdict, reason, rules, host, (extract(epoch FROM until - now()) * 1000)::bigint AS left_ms
FROM {verdict} ORDER BY judged DESC LIMIT 10000";

/// Verdicts that were found out. Of a file that is refused again and again, as while it is being written, the last one counts. A good run does not undo that a version was taken out of service; what matters to others is told to them.
pub(super) const WRITE: &str = "
WITH pruned AS (
    DELETE FROM {verdict} WHERE subject <> ALL ($1::text[])
      AND (judged < now() - interval '1 year'
           OR verdict = 'refused' AND name = ANY ($3::text[]) AND host = $10 AND judged > now() - interval '1 minute')
), written AS (
    INSERT INTO {verdict} AS v (subject, sha256, name, version, entrypoint, verdict, reason, rules, until, host)
    SELECT subject, sha256, name, version, entrypoint, verdict, reason, rules, now() + left_ms * interval '1 millisecond', $10
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[])
         AS j(subject, sha256, name, version, entrypoint, verdict, reason, rules, left_ms)
    ON CONFLICT (subject) DO UPDATE
    SET verdict = EXCLUDED.verdict, name = EXCLUDED.name, version = EXCLUDED.version, entrypoint = EXCLUDED.entrypoint,
        reason = EXCLUDED.reason, rules = EXCLUDED.rules, until = EXCLUDED.until, host = EXCLUDED.host, judged = now()
    WHERE EXCLUDED.verdict <> 'good' OR v.verdict = 'good'
    RETURNING verdict
)
SELECT pg_notify('{fleet_channel}', '\"judged\"') FROM (SELECT FROM written WHERE verdict <> 'good' LIMIT 1) AS told";

const RESET: &str = "DELETE FROM {verdict} WHERE name = $1 OR entrypoint = $1";

/// Text of a guest's, for any encoding that a database may have.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() && c != '\0' { c } else { '?' }).take(2_000).collect()
}

impl Queue {
    /// Whether there is a place for verdicts.
    pub fn keeps_judgements(&self) -> bool {
        !self.sql.lacking.verdicts
    }

    /// All verdicts on versions; none where the database has no place for them.
    pub async fn judgements(&self) -> sqlx::Result<Vec<Judgement>> {
        if !self.keeps_judgements() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(self.sql.judgements.clone()).fetch_all(&self.pool).await?;
        let now = Instant::now();
        let mut judgements = Vec::with_capacity(rows.len());
        for row in rows {
            let left: Option<i64> = row.try_get("left_ms")?;
            let left = Duration::from_millis(left.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0)).min(Duration::from_secs(86_400));
            let standing = match row.try_get("verdict")? {
                "good" => Standing::Good,
                "refused" => Standing::Refused,
                "rolled_back" => Standing::RolledBack,
                "paused" => Standing::Paused(now + left),
                // A later release's.
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
        Ok(judgements)
    }

    /// Keep these verdicts, one per subject, and tell the other hosts.
    pub async fn judge(&self, judgements: &[Judgement]) -> sqlx::Result<()> {
        let now = Instant::now();
        let left = |judgement: &Judgement| match judgement.standing {
            Standing::Paused(until) => Some(millis(until.saturating_duration_since(now))),
            _ => None,
        };
        let all = |text: fn(&Judgement) -> String| judgements.iter().map(text).collect::<Vec<String>>();
        let some = |text: fn(&Judgement) -> Option<String>| judgements.iter().map(text).collect::<Vec<Option<String>>>();
        sqlx::query(self.sql.judge.clone())
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
    /// Forget the verdicts on this plugin, or those for this entrypoint's sake. How many there were; none where there is no place for them.
    pub async fn forget_judgements(&self, name: &str) -> sqlx::Result<u64> {
        match sqlx::query(self.sql(RESET)).bind(name).execute(&self.pool).await {
            Ok(done) => Ok(done.rows_affected()),
            // A database of an earlier release has no such table.
            Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code == "42P01") => Ok(0),
            Err(error) => Err(error),
        }
    }
}
