//! The example plugins doing real work on a real host: photographs, weather records, and a receiver
//! that is sometimes busy.

use std::path::Path;

use pgq_host_tests::{Database, Host, Plugins, Receiver};
use pgq_job::NewJob;
use pgq_queue::OnConflict;
use serde_json::{Map, Value, json};

fn sample(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("plugins-example").join(path)).unwrap()
}

async fn enqueue(database: &Database, entrypoint: &str, payload: Vec<u8>, headers: Value) -> i64 {
    let headers: Map<String, Value> = headers.as_object().unwrap().clone();
    let job =
        NewJob { entrypoint: entrypoint.into(), payload: Some(payload), headers: Some(headers), ..NewJob::default() };
    database.queue().enqueue(&[job], OnConflict::Raise).await.unwrap()[0]
}

#[tokio::test]
async fn thumbnail_makes_a_smaller_jpeg_of_a_photograph() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["thumbnail"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let photograph = sample("thumbnail/samples/rocket.jpg");
    let id = enqueue(&database, "thumbnail", photograph.clone(), json!({"width": 128, "height": "128"})).await;
    let corrupt = enqueue(&database, "thumbnail", b"remember the milk".to_vec(), json!({})).await;
    database.wait_for(id, "successful").await;
    database.wait_for(corrupt, "failed").await;
    let output: Vec<u8> = sqlx::query_scalar("SELECT output FROM pgqueuer_output WHERE job_id = $1")
        .bind(id)
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert!(output.starts_with(&[0xFF, 0xD8, 0xFF]), "a JPEG");
    assert!(output.len() < photograph.len() / 4, "{} bytes of {}", output.len(), photograph.len());
    assert_eq!(database.traceback(corrupt).await["exception_type"], "Reject");
    host.stop().await;
}

#[tokio::test]
async fn report_sums_up_megabytes_of_records() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["report"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let csv = sample("report/samples/seattle-weather.csv");
    let (head, rows) = csv.split_at(csv.iter().position(|byte| *byte == b'\n').unwrap() + 1);
    let large = [head, &rows.repeat(100)].concat();
    assert!(large.len() > 4 << 20);
    let id = enqueue(&database, "report", large, json!({"group-by": "weather", "value": "temp_max"})).await;
    database.wait_for(id, "successful").await;
    let report: Value = serde_json::from_str(&database.output(id).await.unwrap()).unwrap();
    assert_eq!(report["rows"], 146_100);
    let counts: i64 = report["groups"].as_array().unwrap().iter().map(|group| group["count"].as_i64().unwrap()).sum();
    assert_eq!(counts, 146_100);
    host.stop().await;
}

#[tokio::test]
async fn webhook_reaches_what_is_granted_and_retries_while_the_receiver_is_busy() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["webhook"]));
    let receiver = Receiver::start(vec![503, 200, 200]).await;
    let config = plugins.path().join("grants.toml");
    std::fs::write(&config, format!("[plugins.webhook]\nhttp = [\"{}\"]\n", receiver.origin())).unwrap();
    let host = Host::start(&database, &plugins, &["--config", config.to_str().unwrap()]).await;
    let call = |url: String| json!({"url": url, "body": {"n": 7}}).to_string().into_bytes();
    let id = enqueue(&database, "webhook", call(format!("{}/hook", receiver.origin())), json!({})).await;
    database.wait_for(id, "successful").await;
    assert_eq!(database.history(id).await, ["queued", "picked", "queued", "picked", "successful"]);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].starts_with("POST /hook") && requests[1].ends_with(r#"{"n":7}"#), "{}", requests[1]);
    // The same for both attempts, and more than the id, which a fail-over can give to a second job.
    let key =
        |request: &str| request.lines().find_map(|line| line.strip_prefix("idempotency-key: ").map(str::to_owned));
    let keys = [key(&requests[0]), key(&requests[1])];
    assert!(
        keys[0].as_ref().is_some_and(|key| key.starts_with(&format!("pgq-{id}-"))) && keys[0] == keys[1],
        "{keys:?}"
    );
    let own = enqueue(
        &database,
        "webhook",
        call(format!("{}/hook", receiver.origin())),
        json!({"idempotency-key": "order-7"}),
    )
    .await;
    database.wait_for(own, "successful").await;
    assert_eq!(key(&receiver.requests()[2]).as_deref(), Some("order-7"));

    // Neither the same address under another name nor another port was granted.
    let other = Receiver::start(vec![200]).await;
    for url in [receiver.origin().replace("127.0.0.1", "localhost"), other.origin()] {
        let id = enqueue(&database, "webhook", call(url), json!({})).await;
        database.wait_for(id, "failed").await;
        assert!(database.traceback(id).await["exception_message"].as_str().unwrap().contains("pgq-host.toml"));
    }
    assert_eq!((receiver.requests().len(), other.requests().len()), (3, 0));
    host.stop().await;
}
