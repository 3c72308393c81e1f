//! One move of money, and how its run ends. The oracle of the chaos run knows from the payload how
//! many rows a job leaves in `move`.

use pgq_plugin_sdk::prelude::*;

/// The payload.
#[derive(Deserialize)]
pub(crate) struct Transfer {
    from: i64,
    to: i64,
    amount: i64,
    ends: Ends,
}

/// How the first run ends; the next one completes.
#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Ends {
    Complete,
    /// Committed: the job moves money once more when it is back.
    Snooze,
    Retry,
    Trap,
}

pub(crate) fn transfer(job: &Job, Json(it): Json<Transfer>) -> Result<Outcome> {
    let (before,): (i64,) = sql::query("SELECT count(*) FROM move WHERE job = $1", &[&job.id()])?.one()?;
    for (account, amount) in [(it.from, -it.amount), (it.to, it.amount)] {
        sql::execute("UPDATE account SET balance = balance + $2 WHERE id = $1", &[&account, &amount])?;
    }
    let row = "INSERT INTO move (job, f, t, amount) VALUES ($1, $2, $3, $4)";
    sql::execute(row, &[&job.id(), &it.from, &it.to, &it.amount])?;
    match it.ends {
        Ends::Snooze if before == 0 => Ok(Outcome::snooze(Duration::from_millis(50))),
        Ends::Retry if job.attempt() == 1 => Err(Failure::retry("once more").after(Duration::ZERO)),
        Ends::Trap if job.attempt() == 1 => panic!("after money was moved"),
        _ => Ok(Outcome::done()),
    }
}
