//! The next version of the shop, deployed before its producers: it wants another field, and refuses
//! every order without it.

use pgq_plugin_sdk::prelude::*;

#[derive(Deserialize)]
struct Order {
    order: u64,
    amount: Option<u64>,
}

fn order(_: &Job, Json(order): Json<Order>) -> Result<Outcome> {
    match order.amount {
        Some(amount) => Ok(Outcome::output(amount.to_string())),
        None => Err(Failure::reject(format!("order {} has no field `amount`", order.order))),
    }
}

fn resize(_: &Job) {}

fn plugin() -> Plugin {
    Plugin::new("shop", "2.5.0")
        .entrypoint(Entrypoint::new("order", order).max_attempts(3))
        .entrypoint(Entrypoint::new("resize", resize).max_attempts(3))
}

pgq_plugin_sdk::export!(plugin);
