//! {{name}}: a plugin for pgq-host. README.md lists the commands.

use pgq_plugin_sdk::prelude::*;

/// The payload, as producers write it. payload.json is an example.
#[derive(Deserialize)]
struct Greeting {
    name: String,
}

fn greet(job: &Job, Json(greeting): Json<Greeting>) -> Result<Outcome> {
    if greeting.name.is_empty() {
        return Err(Failure::reject("the name is empty"));
    }
    log::info!(attempt = job.attempt(), "greeting {}", greeting.name);
    Ok(Outcome::output(format!("Hello, {}!", greeting.name)))
}

fn plugin() -> Plugin {
    Plugin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).entrypoint(
        Entrypoint::new("{{name}}", greet)
            .max_attempts(5)
            .timeout(Duration::from_secs(10)),
    )
}

pgq_plugin_sdk::export!(plugin);

#[cfg(test)]
mod tests {
    use pgq_plugin_sdk::testing::{TestJob, TestRun};

    use super::*;

    const PAYLOAD: &[u8] = include_bytes!("../payload.json");

    #[test]
    fn the_sample_payload_is_greeted() {
        let job = TestJob::new("{{name}}").payload(PAYLOAD);
        let run = TestRun::of(&plugin(), job);

        assert_eq!(run.result, Ok(Outcome::output("Hello, Ada!")));
        assert_eq!(run.logs[0].message, "greeting Ada");
    }

    #[test]
    fn a_payload_that_names_nobody_fails_for_good() {
        let job = TestJob::new("{{name}}").json(&json!({ "name": "" }));
        let failure = TestRun::of(&plugin(), job).result.unwrap_err();

        assert!(failure.is_final());
    }
}
