//! A shop as it should be, for incidents: it takes orders, and resizes pictures of products.

use pgq_plugin_sdk::prelude::*;

#[derive(Deserialize)]
struct Order {
    order: u64,
    total: u64,
}

fn order(_: &Job, Json(order): Json<Order>) -> Outcome {
    log::info!(order = order.order, total = order.total, "taken");
    Outcome::output(order.order.to_string())
}

#[derive(Deserialize)]
struct Picture {
    picture: String,
    width: usize,
}

/// Holds the whole picture in memory.
fn resize(_: &Job, Json(picture): Json<Picture>) -> Outcome {
    log::info!(picture = picture.picture.as_str(), width = picture.width as u64, "resizing");
    let pixels = vec![0x7f_u8; picture.width * picture.width];
    Outcome::output(pixels.len().to_string())
}

fn plugin() -> Plugin {
    let quick = |entrypoint: Entrypoint| entrypoint.backoff(Duration::from_millis(20), 1.0, Duration::from_millis(20));
    Plugin::new("shop", "2.4.0")
        .entrypoint(quick(Entrypoint::new("order", order)).max_attempts(3))
        .entrypoint(quick(Entrypoint::new("resize", resize)).max_attempts(3).memory(32 << 20))
}

pgq_plugin_sdk::export!(plugin);
