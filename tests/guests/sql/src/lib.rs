//! Does in the database what its payload says, and returns what came of it.

use pgq_plugin_sdk::prelude::*;
use pgq_plugin_sdk::sql::{Error, Row, Scalar, ToSql, Value};

/// One thing to do.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Step {
    /// The output has how many rows were touched.
    Execute(String, #[serde(default)] Vec<serde_json::Value>),
    /// The output has all rows.
    Query(String, #[serde(default)] Vec<serde_json::Value>),
    /// Many times; the output has how many times it worked, and the last error.
    Repeat(u64, String),
    /// The output has how many rows and bytes there were before the error, if any.
    Drain(String),
    /// Undone if it fails, and then the output has the error.
    Savepoint(Vec<Step>),
    /// Two cursors, read in turns.
    Zip(String, String),
    /// Enqueue a follow-up with this dedupe key.
    Follow(String, Option<String>),
    /// A savepoint whose handle is kept, and a statement within.
    LeaveOpen(String),
    End(End),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum End {
    Snooze,
    Discard,
    Retry,
    Reject,
    Trap,
    Loop,
}

fn parameter(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::One(Scalar::Null),
        Json::Bool(value) => value.to_sql(),
        Json::Number(number) if number.is_i64() => number.as_i64().to_sql(),
        Json::Number(number) => number.as_f64().to_sql(),
        Json::String(text) => text.to_sql(),
        Json::Array(items) => Value::Many(
            items
                .iter()
                .map(|item| match parameter(item) {
                    Value::One(scalar) => scalar,
                    Value::Many(_) => Scalar::Null,
                })
                .collect(),
        ),
        object @ Json::Object(_) => object.to_sql(),
    }
}

fn parameters(json: &[serde_json::Value]) -> Vec<Value> {
    json.iter().map(parameter).collect()
}

fn borrowed(values: &[Value]) -> Vec<&dyn ToSql> {
    values.iter().map(|value| value as &dyn ToSql).collect()
}

fn shown(error: &Error) -> serde_json::Value {
    json!({
        "kind": format!("{:?}", error.kind()), "message": error.message(), "sqlstate": error.sqlstate(),
        "constraint": error.constraint(), "table": error.table(), "column": error.column(),
    })
}

fn values(row: Row, columns: usize) -> Result<Vec<String>, Error> {
    (0..columns).map(|place| row.at::<Value>(place).map(|value| format!("{value:?}"))).collect()
}

fn run(steps: &[Step], output: &mut Vec<serde_json::Value>) -> Result<Option<Outcome>> {
    for step in steps {
        match step {
            Step::Execute(text, given) => {
                let given = parameters(given);
                output.push(sql::execute(text, &borrowed(&given))?.into());
            }
            Step::Query(text, given) => {
                let given = parameters(given);
                let rows = sql::query(text, &borrowed(&given))?;
                let columns = rows.columns().len();
                let rows = rows.map(|row| values(row?, columns)).collect::<Result<Vec<_>, Error>>()?;
                output.push(json!(rows));
            }
            Step::Repeat(times, text) => {
                let mut done = 0;
                let mut last = None;
                for _ in 0..*times {
                    match sql::execute(text, &[]) {
                        Ok(_) => done += 1,
                        Err(error) => {
                            last = Some(shown(&error));
                            break;
                        }
                    }
                }
                output.push(json!([done, last]));
            }
            Step::Drain(text) => {
                let (mut rows, mut error) = (0_u64, None);
                match sql::query(text, &[]) {
                    Ok(cursor) => {
                        for row in cursor {
                            match row {
                                Ok(_) => rows += 1,
                                Err(told) => error = Some(shown(&told)),
                            }
                        }
                    }
                    Err(told) => error = Some(shown(&told)),
                }
                output.push(json!([rows, error]));
            }
            Step::Savepoint(steps) => {
                let mut inner = Vec::new();
                let done = sql::savepoint(|| match run(steps, &mut inner) {
                    Ok(_) => Ok(()),
                    Err(failure) => Err(Inner(failure)),
                });
                output.append(&mut inner);
                if let Err(Inner(failure)) = done {
                    output.push(failure.message().into());
                }
            }
            Step::Zip(one, other) => {
                let (one, other) = (sql::query(one, &[])?, sql::query(other, &[])?);
                let mut sum = 0_i64;
                for (one, other) in one.zip(other) {
                    sum += one?.at::<i64>(0)? * other?.at::<i64>(0)?;
                    sql::execute("SELECT 1", &[])?;
                }
                output.push(sum.into());
            }
            Step::Follow(entrypoint, key) => {
                let request = Request::new(entrypoint.clone()).payload("follow");
                match key {
                    Some(key) => request.dedupe_key(key.clone()).submit()?,
                    None => request.submit()?,
                }
            }
            Step::LeaveOpen(text) => {
                let never = sql::savepoint(|| {
                    sql::execute(text, &[])?;
                    Err::<(), Inner>(Inner(Failure::retry("left")))
                });
                output.push(never.is_err().into());
            }
            Step::End(End::Snooze) => return Ok(Some(Outcome::snooze(Duration::from_secs(3600)))),
            Step::End(End::Discard) => return Ok(Some(Outcome::discard("as the payload says"))),
            Step::End(End::Retry) => return Err(Failure::retry("as the payload says")),
            Step::End(End::Reject) => return Err(Failure::reject("as the payload says")),
            Step::End(End::Trap) => panic!("as the payload says"),
            Step::End(End::Loop) => loop {
                std::hint::black_box(());
            },
        }
    }
    Ok(None)
}

struct Inner(Failure);

impl From<Error> for Inner {
    fn from(error: Error) -> Inner {
        Inner(error.into())
    }
}

fn steps(_: &Job, Json(steps): Json<Vec<Step>>) -> Result<Outcome> {
    let mut output = Vec::new();
    match run(&steps, &mut output) {
        Ok(Some(outcome)) => Ok(outcome),
        Ok(None) => Outcome::json(&output),
        Err(failure) => Err(failure),
    }
}

/// Move money from one account to another, and count it. How the run ends is drawn from the job's
/// number and attempt: half of the first attempts do not complete.
fn transfer(job: &Job, Json((from, to, amount)): Json<(i64, i64, i64)>) -> Result<Outcome> {
    let draw = (job.id() * 7 + i64::from(job.attempt()) * 13) % 10;
    let first = sql::query("SELECT count(*) FROM seen WHERE job = $1", &[&job.id()])?.one::<(i64,)>()?.0 == 0;
    // In the order of their numbers, so that two transfers do not wait for each other.
    let (low, high) = (from.min(to), from.max(to));
    for id in [low, high] {
        sql::execute("SELECT balance FROM account WHERE id = $1 FOR UPDATE", &[&id])?;
    }
    sql::execute("UPDATE account SET balance = balance - $2 WHERE id = $1", &[&from, &amount])?;
    if job.attempt() == 1 && draw == 0 {
        return Err(Failure::retry("drawn").after(Duration::from_millis(1)));
    }
    sql::execute("UPDATE account SET balance = balance + $2 WHERE id = $1", &[&to, &amount])?;
    if job.attempt() == 1 && draw == 1 {
        panic!("drawn");
    }
    if first && draw == 2 {
        // Undone, but remembered that the job was seen: the snooze commits.
        sql::execute("UPDATE account SET balance = balance + $2 WHERE id = $1", &[&from, &amount])?;
        sql::execute("UPDATE account SET balance = balance - $2 WHERE id = $1", &[&to, &amount])?;
        sql::execute("INSERT INTO seen (job) VALUES ($1)", &[&job.id()])?;
        return Ok(Outcome::snooze(Duration::from_millis(100)));
    }
    sql::execute("INSERT INTO move (job, amount) VALUES ($1, $2)", &[&job.id(), &amount])?;
    Outcome::json(&amount)
}

fn nothing(_: &Job) {}

fn plugin() -> Plugin {
    let soon = |entrypoint: Entrypoint| {
        entrypoint.backoff(Duration::from_millis(20), 1.0, Duration::from_millis(20)).max_attempts(50)
    };
    Plugin::new("sql", "1.0.0")
        .needs_sql("moves money between accounts")
        .needs_enqueue("follow")
        .entrypoint(soon(Entrypoint::new("steps", steps)))
        .entrypoint(soon(Entrypoint::new("once", steps)).max_attempts(1).timeout(Duration::from_secs(5)))
        .entrypoint(soon(Entrypoint::new("patient", steps)).max_attempts(1))
        .entrypoint(soon(Entrypoint::new("brief", steps)).max_attempts(1).timeout(Duration::from_millis(700)))
        .entrypoint(soon(Entrypoint::new("kept", steps)).reuse(100))
        .entrypoint(soon(Entrypoint::new("transfer", transfer)))
        .entrypoint(Entrypoint::new("follow", nothing))
}

pgq_plugin_sdk::export!(plugin);
