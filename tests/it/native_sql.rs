//! Unit tests of handlers against a real database, natively: `TestRun::with_postgres` of the SDK.

use pgq_host_tests::Database;
use pgq_plugin_sdk::prelude::*;
use pgq_plugin_sdk::sql::{Date, ErrorKind, Interval, Numeric, Time, Timestamp, Uuid};
use pgq_plugin_sdk::testing::{TestJob, TestPostgres, TestRun};

const TABLES: &str = "CREATE TABLE account (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0)); \
    CREATE TABLE note (id bigint, of bigint REFERENCES account DEFERRABLE INITIALLY DEFERRED); \
    INSERT INTO account VALUES (1, 10), (2, 0)";

fn pay(_: &Job, Json(amount): Json<i64>) -> Result<Text> {
    sql::execute("UPDATE account SET balance = balance + $1 WHERE id = 2", &[&amount])?;
    let paid = sql::savepoint(|| sql::execute("UPDATE account SET balance = balance - $1 WHERE id = 1", &[&amount]));
    match paid {
        Ok(rows) => Ok(Text(format!("{rows} row"))),
        Err(error) => Err(Failure::reject(format!(
            "{} {}",
            error.constraint().unwrap_or_default(),
            error.sqlstate().unwrap_or_default()
        ))),
    }
}

/// Deferred: what is wrong with it is found at the commit.
fn note(_: &Job) -> Result<()> {
    sql::execute("INSERT INTO note VALUES (1, 99)", &[])?;
    Ok(())
}

fn commit(_: &Job) -> Result<()> {
    let error = sql::execute("COMMIT", &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    Err(error.into())
}

type Everything = (bool, i32, f64, Numeric, Vec<Option<String>>, Uuid, Date, Timestamp);

fn types(_: &Job) -> Result<()> {
    let statement = "SELECT $1::bool, $2::int, $3::float8, $4::numeric, $5::text[], $6::uuid, $7::date, $8::timestamp";
    let words = vec![Some("a\"b".to_owned()), None];
    let (number, id) = (Numeric("12345678901234567890.10".into()), Uuid("67e55044-10b1-426f-9247-bb680e5fe0c8".into()));
    let given: Everything = (true, -7, 0.1, number, words, id, Date(-1), Timestamp(-1));
    let (a, b, c, d, e, f, g, h) = &given;
    let rows = sql::query(statement, &[a, b, c, d, e, f, g, h])?;
    let names: Vec<String> = rows.columns().iter().map(|column| column.type_name.clone()).collect();
    assert_eq!((&*names[1], &*names[4]), ("int4", "_text"));
    assert_eq!(rows.one::<Everything>()?, given);

    let interval = Interval { months: 1, days: -2, microseconds: 3 };
    let rest = sql::query("SELECT $1::interval, $2::time, '10.0.0.1'::inet::text", &[&interval, &Time(1)])?;
    assert_eq!(rest.one::<(Interval, Time, String)>()?, (interval, Time(1), "10.0.0.1/32".into()));
    let no_place = sql::query("SELECT '10.0.0.1'::inet", &[]).map(drop).unwrap_err();
    assert!(no_place.message().contains("cast it to text"), "{no_place}");
    Ok(())
}

fn plugin() -> Plugin {
    Plugin::new("bank", "1.0.0")
        .entrypoint(Entrypoint::new("pay", pay))
        .entrypoint(Entrypoint::new("note", note))
        .entrypoint(Entrypoint::new("commit", commit))
        .entrypoint(Entrypoint::new("types", types))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_is_tested_against_a_database_as_the_host_would_run_it() {
    let database = Database::new().await;
    let dsn = database.dsn().to_owned();
    let tested = std::thread::spawn(move || {
        let postgres = TestPostgres::connect(&dsn).unwrap();
        postgres.client().batch_execute(TABLES).unwrap();
        let run = |job: TestJob| TestRun::with_postgres(&plugin(), job, &postgres).result;
        let balances = || -> Vec<i64> {
            let rows = postgres.client().query("SELECT balance FROM account ORDER BY id", &[]).unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        };

        assert_eq!(run(TestJob::new("pay").json(&7)), Ok(Outcome::output("1 row")));
        assert_eq!(balances(), [3, 7]);
        // It is rejected, and the statement before that is undone with it.
        let failure = run(TestJob::new("pay").json(&4)).unwrap_err();
        assert!(failure.is_final() && failure.to_string().contains("account_balance_check 23514"), "{failure}");
        assert_eq!(balances(), [3, 7]);
        let failure = run(TestJob::new("note")).unwrap_err();
        assert!(failure.to_string().contains("CommitRefused") && failure.to_string().contains("23503"), "{failure}");
        let failure = run(TestJob::new("commit")).unwrap_err();
        assert!(failure.to_string().contains("COMMIT is refused: the transaction is the host's"), "{failure}");
        assert_eq!(run(TestJob::new("types")), Ok(Outcome::Complete(None)));
    });
    tokio::task::spawn_blocking(|| tested.join().unwrap()).await.unwrap();
    let left: bool =
        sqlx::query_scalar("SELECT to_regclass('account') IS NOT NULL").fetch_one(database.pool()).await.unwrap();
    assert!(!left, "all of it was rolled back");
}
