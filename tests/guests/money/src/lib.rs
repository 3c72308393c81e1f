//! Moves money between two accounts, and has no way out but the database.

use pgq_plugin_sdk::prelude::*;

mod transfer;

/// What the benchmark compares: one row is read, and one is written.
fn counted(job: &Job) -> Result<()> {
    let account = job.id() % 1000 + 1;
    let (_balance,): (i64,) = sql::query("SELECT balance FROM account WHERE id = $1", &[&account])?.one()?;
    sql::execute("UPDATE account SET balance = balance + 1 WHERE id = $1", &[&account])?;
    Ok(())
}

fn plugin() -> Plugin {
    Plugin::new("money", "1.0.0")
        .needs_sql("moves money between accounts")
        .entrypoint(Entrypoint::new("counted_fresh", counted))
        .entrypoint(Entrypoint::new("counted_kept", counted).reuse(1000))
        .entrypoint(Entrypoint::new("pay", transfer::transfer).max_attempts(50).timeout(Duration::from_secs(60)))
}

pgq_plugin_sdk::export!(plugin);
