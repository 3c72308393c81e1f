//! Checks whether schedules are ahead of the server's clock because it was set back.

use sqlx::Row as _;

use super::finding::{CheckResult, Finding};
use super::target::Target;

/// Last written at a time that is still in the future, by more than a clock is slewed, and not due
/// before then.
const AHEAD: &str = "
SELECT count(*) AS schedules, min(expression) AS expression, min(entrypoint) AS entrypoint,
       coalesce(extract(epoch FROM max(greatest(last_run, updated)) - now()), 0)::float8 AS seconds
FROM {schedules}
WHERE greatest(last_run, updated) > now() + interval '5 seconds' AND greatest(last_run, updated) < 'infinity' AND next_run > now()";

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let mut read_only = target.read_only().await?;
    let row = sqlx::query(target.sql(AHEAD)).fetch_one(&mut *read_only).await?;
    let schedules: i64 = row.try_get("schedules")?;
    if schedules == 0 {
        return Ok(vec![Finding::ok("no schedule was written at a time in the future")]);
    }
    let (expression, entrypoint): (String, String) = (row.try_get("expression")?, row.try_get("entrypoint")?);
    let seconds: f64 = row.try_get("seconds")?;
    let what = format!(
        "{schedules} schedule(s), such as {expression:?} of {entrypoint:?}, were last written {seconds:.0} s ahead of the server's clock"
    );
    let why = "the clock was ahead and went back; these schedules do not fire until it has caught up. A host moves those back that its plugins \
                   declare, and logs it; nothing does that for those of Python workers";
    let remedy = format!(
        "UPDATE {} SET next_run = now() WHERE next_run > now() AND greatest(last_run, updated) > now() + interval '5 seconds';",
        target.deployment.names.render("{schedules}")
    );
    Ok(vec![Finding::warning(what, why, remedy)])
}
