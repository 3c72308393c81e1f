//! What the plugin `stock` needs in the database, and what has to be there at the end: rows that
//! handlers wrote, each in the transaction of its job's outcome.

use anyhow::{Context as _, ensure};
use pgq_job::NewJob;
use pgq_queue::names::Names;
use pgq_queue::schema::{self, Role};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::order::{Due, Order};

pub(crate) const ROLE: &str = "demo_stock";
/// Rows of one job.
const ITEMS: u32 = 100;
/// One job in ten has an item that ran out, which is ordered again by a follow-up job.
const SOLD_OUT_EVERY: u32 = 10;

/// The list of one delivery, with items of its own.
pub(crate) fn order(number: u32) -> Order {
    let sold_out = number.is_multiple_of(SOLD_OUT_EVERY);
    let quantity = |item| if sold_out && item == 0 { 0 } else { item + 1 };
    let items = (0..ITEMS).map(|item| json!({ "sku": format!("{number}-{item}"), "quantity": quantity(item) }));
    let payload = Value::from_iter(items).to_string().into_bytes();
    let job = NewJob { entrypoint: "import_stock".to_owned(), payload: Some(payload.clone()), ..NewJob::default() };
    let due = Due::Imported { rows: ITEMS as usize, sold_out: usize::from(sold_out) };
    Order { id: 0, entrypoint: "import_stock", size: payload.len(), due, job }
}

/// The follow-up jobs of this many orders.
pub(crate) fn reorders(orders: u32) -> usize {
    orders.div_ceil(SOLD_OUT_EVERY) as usize
}

/// A role of the plugin's own, which sees one table and nothing of the queue.
pub(crate) async fn prepare(pool: &PgPool, names: &Names, password: &str) -> anyhow::Result<()> {
    let role = format!("DO $$ BEGIN CREATE ROLE {ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    let statements = [
        role,
        format!("ALTER ROLE {ROLE} PASSWORD '{password}'"),
        "DROP TABLE IF EXISTS stock".to_owned(),
        "CREATE TABLE stock (sku text PRIMARY KEY, quantity int NOT NULL CHECK (quantity >= 0))".to_owned(),
        format!("GRANT SELECT, INSERT, UPDATE ON stock TO {ROLE}"),
    ];
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement)).execute(pool).await.context("cannot prepare the table stock")?;
    }
    let mut connection = pool.acquire().await?;
    let me: String = sqlx::query_scalar("SELECT session_user::text").fetch_one(&mut *connection).await?;
    let role = |name: &str| Role::new(name).map_err(anyhow::Error::msg);
    schema::grant_handler(&mut connection, names, &role(&me)?, &role(ROLE)?).await?;
    Ok(())
}

/// Every row of every job is there, once.
pub(crate) async fn check(pool: &PgPool, orders: u32) -> anyhow::Result<()> {
    let (rows, sum): (i64, i64) =
        sqlx::query_as("SELECT count(*), coalesce(sum(quantity), 0)::bigint FROM stock").fetch_one(pool).await?;
    let wanted = i64::from(orders * ITEMS);
    let sold = reorders(orders) as i64;
    let quantities = i64::from(orders) * i64::from(ITEMS * (ITEMS + 1) / 2) - sold;
    ensure!((rows, sum) == (wanted, quantities), "stock: {rows} rows with {sum} items, not {wanted} with {quantities}");
    Ok(())
}
