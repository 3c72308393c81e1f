//! The smallest plugin: takes JSON, logs a line, gives text.

use pgq_plugin_sdk::prelude::*;

#[derive(Deserialize)]
struct Hello {
    name: String,
}

fn hello(job: &Job, Json(hello): Json<Hello>) -> Result<Outcome> {
    log::info!(attempt = job.attempt(), "greeting {}", hello.name);
    Ok(Outcome::output(format!("Hello, {}!", hello.name)))
}

fn plugin() -> Plugin {
    Plugin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .entrypoint(Entrypoint::new("hello", hello).max_attempts(5).timeout(Duration::from_secs(10)))
}

pgq_plugin_sdk::export!(plugin);

#[cfg(test)]
mod tests {
    use pgq_plugin_sdk::testing::{TestJob, TestRun};

    use super::*;

    #[test]
    fn greets_by_name() {
        let job = TestJob::new("hello").json(&json!({ "name": "Ada" }));
        let run = TestRun::of(&plugin(), job);

        assert_eq!(run.result, Ok(Outcome::output("Hello, Ada!")));
        assert_eq!(run.logs[0].message, "greeting Ada");
        assert_eq!(run.logs[0].field("attempt"), Some("1"));
    }

    #[test]
    fn a_payload_without_a_name_is_final() {
        let job = TestJob::new("hello").json(&json!({ "nmae": "Ada" }));
        let failure = TestRun::of(&plugin(), job).result.unwrap_err();

        assert!(failure.is_final());
        assert!(failure.message().contains("missing field `name`"));
    }
}
