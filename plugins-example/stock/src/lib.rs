//! Imports a stock list into a table, and enqueues a follow-up for each item that ran out: rows and
//! follow-ups are there together, once, however often the job runs.
//!
//! ```sql
//! CREATE TABLE stock (sku text PRIMARY KEY, quantity int NOT NULL CHECK (quantity >= 0));
//! GRANT SELECT, INSERT, UPDATE ON stock TO stock_import;
//! ```

use pgq_plugin_sdk::prelude::*;

/// Rows of one statement.
const BATCH: usize = 500;
const CHECK_VIOLATION: &str = "23514";

/// All rows are written by one statement, so a batch is one round trip. Rows that change nothing are
/// not written, and not reported.
const UPSERT: &str = "INSERT INTO stock AS s (sku, quantity) SELECT * FROM unnest($1::text[], $2::int[]) \
    ON CONFLICT (sku) DO UPDATE SET quantity = EXCLUDED.quantity WHERE s.quantity <> EXCLUDED.quantity \
    RETURNING sku, quantity";

#[derive(Deserialize)]
struct Item {
    sku: String,
    quantity: i32,
}

#[derive(Default, Serialize)]
struct Report {
    changed: usize,
    sold_out: usize,
    refused: usize,
}

fn import(job: &Job, Json(items): Json<Vec<Item>>) -> Result<Outcome> {
    let mut report = Report::default();
    for batch in items.chunks(BATCH) {
        if job.heartbeat().should_stop() {
            // Nothing is committed, so the job starts over elsewhere.
            return Err(Failure::retry("interrupted").after(Duration::ZERO));
        }
        match sql::savepoint(|| upsert(batch)) {
            Ok(changed) => report.add(&changed)?,
            // A bad row costs itself, and not the batch that it is in.
            Err(error) if error.sqlstate() == Some(CHECK_VIOLATION) => one_by_one(batch, &mut report)?,
            Err(error) => return Err(error.into()),
        }
    }
    log::info!(changed = report.changed, sold_out = report.sold_out, refused = report.refused, "imported");
    Outcome::json(&report)
}

fn one_by_one(batch: &[Item], report: &mut Report) -> Result<()> {
    for item in batch {
        match sql::savepoint(|| upsert(std::slice::from_ref(item))) {
            Ok(changed) => report.add(&changed)?,
            Err(error) if error.sqlstate() == Some(CHECK_VIOLATION) => {
                log::warn!(sku = item.sku, "refused: {error}");
                report.refused += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The rows that are new or changed.
fn upsert(items: &[Item]) -> Result<Vec<(String, i32)>, sql::Error> {
    let skus: Vec<&str> = items.iter().map(|item| &*item.sku).collect();
    let quantities: Vec<i32> = items.iter().map(|item| item.quantity).collect();
    sql::query(UPSERT, &[&skus, &quantities])?.all()
}

impl Report {
    fn add(&mut self, changed: &[(String, i32)]) -> Result<()> {
        self.changed += changed.len();
        for (sku, _) in changed.iter().filter(|(_, quantity)| *quantity == 0) {
            self.sold_out += 1;
            // The outbox: committed with the row that it is about. One at a time for each item.
            Request::new("reorder").payload(sku.as_bytes()).dedupe_key(format!("reorder {sku}")).submit()?;
        }
        Ok(())
    }
}

fn reorder(_: &Job, Text(sku): Text) -> Text {
    Text(format!("ordered {sku}"))
}

fn plugin() -> Plugin {
    Plugin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .needs_sql("reads and writes the table stock")
        .needs_enqueue("reorder")
        .entrypoint(Entrypoint::new("import_stock", import).max_attempts(5).timeout(Duration::from_secs(60)))
        .entrypoint(Entrypoint::new("reorder", reorder))
}

pgq_plugin_sdk::export!(plugin);

#[cfg(test)]
mod tests {
    use pgq_plugin_sdk::sql::{Error, ToSql, Value};
    use pgq_plugin_sdk::testing::{TestJob, TestRows, TestRun};

    use super::*;

    /// A table that refuses what is below zero.
    fn table(statement: &str, parameters: &[Value]) -> Result<TestRows, Error> {
        let [Value::Many(skus), Value::Many(quantities)] = parameters else {
            assert!(parameters.is_empty(), "{statement}");
            return Ok(TestRows::default());
        };
        assert_eq!(statement, UPSERT);
        if quantities.contains(&sql::Scalar::Int32(-1)) {
            return Err(Error::database(CHECK_VIOLATION, "below zero"));
        }
        let rows = skus.iter().zip(quantities).map(|(sku, quantity)| vec![sku.to_sql(), quantity.to_sql()]);
        Ok(TestRows::new(&["sku", "quantity"], rows.collect()))
    }

    #[test]
    fn what_ran_out_is_ordered_and_a_bad_row_costs_itself() {
        let items = json!([{"sku": "a", "quantity": 3}, {"sku": "b", "quantity": 0}, {"sku": "c", "quantity": -1}]);
        let run = TestRun::with_sql(&plugin(), TestJob::new("import_stock").json(&items), table);
        assert_eq!(run.result, Ok(Outcome::output(r#"{"changed":2,"sold_out":1,"refused":1}"#)));
        let [order] = &run.enqueued[..] else { panic!("{:?}", run.enqueued) };
        assert_eq!((&*order.entrypoint, order.dedupe_key.as_deref()), ("reorder", Some("reorder b")));
    }
}
