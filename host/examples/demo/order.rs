//! The jobs that are enqueued, and their expected results.

use std::collections::HashMap;

use pgq_job::{JobId, NewJob};
use serde_json::{Value, json};

use crate::stock;

pub(crate) const ENTRYPOINTS: [&str; 6] = ["hello", "webhook", "thumbnail", "report", "import_stock", "reorder"];

const PHOTOGRAPHS: [&[u8]; 2] = [
    include_bytes!("../../../plugins-example/thumbnail/samples/rocket.jpg"),
    include_bytes!("../../../plugins-example/thumbnail/samples/camera.png"),
];
/// Four years of Seattle's weather, one row per day.
const WEATHER: &str = include_str!("../../../plugins-example/report/samples/seattle-weather.csv");
/// One report in 30 has 100 times the rows: 4.8 MB.
const LARGE_EVERY: u32 = 30;
const LARGE: usize = 100;
/// Typical widths on a web page.
const WIDTHS: [u32; 4] = [64, 128, 256, 320];

/// A job and its expected end.
pub(crate) struct Order {
    /// Known once it is enqueued.
    pub(crate) id: JobId,
    pub(crate) entrypoint: &'static str,
    /// The size of the payload, in bytes.
    pub(crate) size: usize,
    pub(crate) due: Due,
    pub(crate) job: NewJob,
}

/// How a job should end.
pub(crate) enum Due {
    Greeting(String),
    /// A JPEG, smaller than the original.
    Picture,
    Rows(usize),
    /// So many rows in the database, and so many of them ordered again.
    Imported {
        rows: usize,
        sold_out: usize,
    },
    /// The receiver answered 200.
    Delivery,
    /// Broken on purpose: held, with this text in its message.
    Held(&'static str),
}

/// How many jobs should end in which way, by entrypoint.
pub(crate) type Tally = HashMap<&'static str, Counts>;

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) done: usize,
    pub(crate) held: usize,
}

impl Counts {
    pub(crate) fn total(self) -> usize {
        self.done + self.held
    }
}

/// `jobs` good jobs of each kind, interleaved, with the broken ones in the middle.
pub(crate) fn book(jobs: u32, origin: &str) -> Vec<Order> {
    let large = repeat(WEATHER, LARGE);
    let mut orders = Vec::new();
    for number in 0..jobs {
        if number == jobs / 2 {
            orders.extend(broken());
        }
        let one =
            [hello(number), webhook(number, origin), thumbnail(number), report(number, &large), stock::order(number)];
        orders.extend(one);
    }
    orders
}

pub(crate) fn tally(orders: &[Order]) -> Tally {
    let mut tally = Tally::new();
    for order in orders {
        // Handlers enqueue these.
        if let Due::Imported { sold_out, .. } = order.due {
            tally.entry("reorder").or_default().done += sold_out;
        }
        let counts = tally.entry(order.entrypoint).or_default();
        match order.due {
            Due::Held(_) => counts.held += 1,
            _ => counts.done += 1,
        }
    }
    tally
}

fn hello(number: u32) -> Order {
    let name = ["Ada", "Grace", "Edsger", "Barbara"][number as usize % 4];
    order("hello", json!({ "name": name }).to_string(), Value::Null, Due::Greeting(format!("Hello, {name}!")))
}

fn webhook(number: u32, origin: &str) -> Order {
    let payload =
        json!({ "url": format!("{origin}/orders/{number}"), "body": { "order": number, "status": "shipped" } });
    order("webhook", payload.to_string(), Value::Null, Due::Delivery)
}

fn thumbnail(number: u32) -> Order {
    let (photograph, width) = (PHOTOGRAPHS[number as usize % 2], WIDTHS[number as usize / 2 % 4]);
    order("thumbnail", photograph, json!({ "width": width.to_string() }), Due::Picture)
}

fn report(number: u32, large: &str) -> Order {
    let file = if number % LARGE_EVERY == LARGE_EVERY / 2 { large } else { WEATHER };
    order("report", file, json!({ "group-by": "weather", "value": "temp_max" }), Due::Rows(file.lines().count() - 1))
}

/// Mistakes as they happen in real queues.
fn broken() -> [Order; 5] {
    let torn = &PHOTOGRAPHS[1][..5_000];
    let elsewhere = json!({ "url": "https://example.com/hook" }).to_string();
    [
        order("hello", "{\"name\": ", Value::Null, Due::Held("not the JSON expected")),
        order(
            "webhook",
            elsewhere,
            Value::Null,
            Due::Held("does not let this plugin send requests to https://example.com"),
        ),
        order("thumbnail", torn, Value::Null, Due::Held("decode")),
        order("report", WEATHER, json!({ "group-by": "colour", "value": "temp_max" }), Due::Held("no column `colour`")),
        order("import_stock", "sku;quantity", Value::Null, Due::Held("not the JSON expected")),
    ]
}

fn order(entrypoint: &'static str, payload: impl Into<Vec<u8>>, headers: Value, due: Due) -> Order {
    let payload = payload.into();
    let headers = headers.as_object().cloned();
    let size = payload.len();
    let job = NewJob { entrypoint: entrypoint.to_owned(), payload: Some(payload), headers, ..NewJob::default() };
    Order { id: 0, entrypoint, size, due, job }
}

/// The header line once, and the rows `times` times.
fn repeat(file: &str, times: usize) -> String {
    let (head, rows) = file.split_once('\n').unwrap_or((file, ""));
    format!("{head}\n{}", rows.repeat(times))
}

impl Order {
    /// What is wrong with how it ended: with an output, or held for a reason.
    pub(crate) fn mistake(&self, output: Option<&[u8]>, held: Option<&str>) -> Option<String> {
        let wrong = match (&self.due, output, held) {
            (Due::Held(reason), None, Some(message)) => !message.contains(reason),
            (Due::Held(_), ..) | (_, None, _) | (_, _, Some(_)) => true,
            (Due::Greeting(text), Some(output), None) => output != text.as_bytes(),
            (Due::Picture, Some(output), None) => {
                !output.starts_with(&[0xff, 0xd8, 0xff])
                    || !output.ends_with(&[0xff, 0xd9])
                    || output.len() >= self.size
            }
            (Due::Rows(rows), Some(output), None) => {
                let report: Value = serde_json::from_slice(output).unwrap_or_default();
                report["rows"] != *rows || report["skipped"] != 0
            }
            (Due::Imported { rows, sold_out }, Some(output), None) => {
                let report: Value = serde_json::from_slice(output).unwrap_or_default();
                report["changed"] != *rows || report["sold_out"] != *sold_out || report["refused"] != 0
            }
            (Due::Delivery, Some(output), None) => {
                serde_json::from_slice::<Value>(output).unwrap_or_default()["status"] != 200
            }
        };
        let ended = match (output, held) {
            (_, Some(reason)) => format!("held: {reason}"),
            (Some(output), None) => {
                format!("done, with {:?}", String::from_utf8_lossy(&output[..output.len().min(60)]))
            }
            (None, None) => "neither done nor held".to_owned(),
        };
        wrong.then(|| format!("job {} ({}) did not end as it should: {ended}", self.id, self.entrypoint))
    }
}
