//! Moves money as `money` does, and tells an external receiver before and after, so that its plugin
//! has another way out than the database.

use pgq_plugin_sdk::prelude::*;

#[path = "../../chaos/src/tell.rs"]
mod tell;
#[path = "../../money/src/transfer.rs"]
mod transfer;

fn pay_and_tell(job: &Job, it: Json<transfer::Transfer>) -> Result<Outcome> {
    tell::tell("begin", job)?;
    let outcome = transfer::transfer(job, it)?;
    tell::tell("end", job)?;
    Ok(outcome)
}

fn plugin() -> Plugin {
    Plugin::new("teller", "1.0.0")
        .needs_sql("moves money between accounts")
        .entrypoint(Entrypoint::new("pay_and_tell", pay_and_tell).max_attempts(50).timeout(Duration::from_secs(60)))
}

pgq_plugin_sdk::export!(plugin);
