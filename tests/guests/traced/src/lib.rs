//! Does what its payload says, one thing after the other, and knows nothing of traces.

use pgq_plugin_sdk::prelude::*;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, Method, OutgoingRequest, Scheme};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Step {
    /// To this authority and path, with these headers.
    Get(String, String, #[serde(default)] Vec<(String, String)>),
    Sql(String),
    /// A job of this entrypoint, with this payload, and a header.
    Follow(String, String, #[serde(default)] Option<(String, String)>),
    Say(String),
    Sleep(u64),
    Fail(String),
    Panic(String),
    Snooze,
    /// On the first attempts, up to this one.
    FailUpTo(u32),
}

fn get(authority: &str, path: &str, headers: &[(String, String)]) -> std::result::Result<u16, String> {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value.as_bytes()).map_err(|error| format!("{error:?}"))?;
    }
    let request = OutgoingRequest::new(fields);
    request.set_method(&Method::Get).map_err(|()| "method")?;
    request.set_scheme(Some(&Scheme::Http)).map_err(|()| "scheme")?;
    request.set_authority(Some(authority)).map_err(|()| "authority")?;
    request.set_path_with_query(Some(path)).map_err(|()| "path")?;
    let pending = outgoing_handler::handle(request, None).map_err(|error| format!("{error:?}"))?;
    pending.subscribe().block();
    let answer = pending.get().expect("ready").expect("once").map_err(|error| format!("{error:?}"))?;
    Ok(answer.status())
}

fn run(job: &Job, steps: &[Step]) -> Result<Outcome> {
    let mut output = Vec::new();
    for step in steps {
        match step {
            Step::Get(authority, path, headers) => {
                output.push(get(authority, path, headers).map_or_else(|error| error, |status| status.to_string()));
            }
            Step::Sql(statement) => {
                let done = sql::execute(statement, &[]);
                output.push(done.map_or_else(|error| format!("{:?}", error.sqlstate()), |rows| rows.to_string()));
            }
            Step::Follow(entrypoint, payload, header) => {
                let mut request = Request::new(entrypoint.clone()).payload(payload.clone().into_bytes());
                if let Some((name, value)) = header {
                    request = request.header(name, value);
                }
                request.submit()?;
            }
            Step::Say(line) => log::info!("{line}"),
            Step::Sleep(ms) => std::thread::sleep(Duration::from_millis(*ms)),
            Step::Fail(why) => return Err(Failure::retry(why.clone())),
            Step::Panic(why) => panic!("{why}"),
            Step::Snooze => return Ok(Outcome::snooze(Duration::from_millis(100))),
            Step::FailUpTo(attempt) if job.attempt() <= *attempt => return Err(Failure::retry("asked for")),
            Step::FailUpTo(_) => {}
        }
    }
    Ok(Outcome::output(output.join(" ")))
}

fn order(job: &Job, Json(steps): Json<Vec<Step>>) -> Result<Outcome> {
    run(job, &steps)
}

fn batch(jobs: &[Job<'_>]) -> Vec<Result<Outcome>> {
    jobs.iter()
        .map(|job| {
            let payload = job.payload().unwrap_or_default();
            let steps: Vec<Step> =
                serde_json::from_slice(&payload).map_err(|error| Failure::reject(error.to_string()))?;
            run(job, &steps)
        })
        .collect()
}

fn plugin() -> Plugin {
    let quick = |entrypoint: Entrypoint| {
        entrypoint.max_attempts(3).backoff(Duration::from_millis(20), 1.0, Duration::from_millis(20))
    };
    Plugin::new("traced", "1.2.3")
        .entrypoint(quick(Entrypoint::new("order", order)))
        .entrypoint(quick(Entrypoint::new("mail", order)))
        .entrypoint(quick(Entrypoint::new("kept", order)).reuse(1_000))
        .entrypoint(quick(Entrypoint::batch("batch", 10, batch)))
}

pgq_plugin_sdk::export!(plugin);
