//! PgQueuer's eleven tools.

use pgq_queue::{BrowsedJob, Content, Operator, Shape};
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::arguments::Arguments;
use crate::period::period;
use crate::wrong::Wrong;

/// Bytes of a payload in a list.
const MOST_PAYLOAD: i32 = 64 << 10;

/// The answer of one of them; `None`: it is none of PgQueuer's.
pub(crate) async fn answer(
    operator: &Operator,
    name: &str,
    asked: &Arguments<'_>,
    shows_contents: bool,
) -> Result<Option<Answer>, Wrong> {
    let limit = || asked.whole("limit");
    let back = || asked.text("period")?.map(|text| period("period", text)).transpose();
    Ok(Some(match name {
        "queue_size" => Answer::rows(&operator.queue_size().await?),
        "queue_table_info" => {
            let bytes = if shows_contents { MOST_PAYLOAD } else { 0 };
            let jobs = operator.browse(limit()?, asked.whole("offset")?, bytes).await?;
            Answer::Rows(jobs.iter().map(|job| browsed(job, shows_contents)).collect())
        }
        "queue_stats" => Answer::rows(&operator.statistics_rows(limit()?, back()?).await?),
        "throughput_summary" => Answer::rows(&operator.throughput_totals(back()?).await?),
        "failed_jobs" => Answer::rows(&operator.newest_exceptions(limit()?).await?),
        "queue_log" => Answer::rows(&operator.newest_log(limit()?).await?),
        // What operators changed by our means is told by `pgq-host schedules`.
        "schedules" => without(&operator.schedules().await?, &["paused", "replaced", "author", "changed", "reason"]),
        "stale_jobs" => {
            let threshold = period("threshold", asked.text("threshold")?.unwrap_or_default())?;
            Answer::rows(&operator.stale(threshold, limit()?).await?)
        }
        // `hosts` tells them.
        "active_workers" => without(&operator.workers().await?, &["host"]),
        "queue_age" => Answer::rows(&operator.backlog().await?),
        "schema_info" => Answer::rows(&operator.table_info().await?),
        _ => return Ok(None),
    }))
}

/// Rows without the columns that PgQueuer's do not have.
fn without<T: Serialize>(rows: &[T], columns: &[&str]) -> Answer {
    let row = |row| {
        let mut row = serde_json::to_value(row).unwrap_or_default();
        if let Some(fields) = row.as_object_mut() {
            fields.retain(|name, _| !columns.contains(&name.as_str()));
        }
        row
    };
    Answer::Rows(rows.iter().map(row).collect())
}

fn browsed(job: &BrowsedJob, shows_contents: bool) -> Value {
    let payload = match &job.payload {
        None => Value::Null,
        Some(content) if shows_contents => text(content).into(),
        Some(content) => withheld(content.bytes).into(),
    };
    let headers = match &job.headers {
        Some(headers) if !shows_contents => withheld(headers.len() as u64).into(),
        headers => json!(headers),
    };
    json!({
        "id": job.id, "priority": job.priority, "queue_manager_id": job.queue_manager_id, "created": job.created,
        "updated": job.updated, "heartbeat": job.heartbeat, "execute_after": job.execute_after, "status": job.status,
        "entrypoint": job.entrypoint, "dedupe_key": job.dedupe_key, "payload": payload, "headers": headers,
        "attempts": job.attempts, "slot": job.slot,
    })
}

/// Bytes as a text, as PgQueuer has them. It has no answer where they are none; PostgreSQL writes
/// them so.
fn text(content: &Content) -> String {
    let mut text = match &content.shape {
        Shape::Json(json) => json.get().to_owned(),
        Shape::Text(text) => text.clone(),
        Shape::Hex(digits) => format!("\\x{digits}"),
        Shape::Sealed(sealed) => return format!("(sealed with key {}: {} bytes)", sealed.key, content.bytes),
    };
    if content.cut {
        text.push_str(&format!(" ... (the first of {} bytes)", content.bytes));
    }
    text
}

fn withheld(bytes: u64) -> String {
    format!("(withheld: {bytes} bytes; the server was started without --payloads)")
}
