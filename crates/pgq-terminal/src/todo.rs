//! What somebody wants to be changed: counted first, and done when it was confirmed.

use std::time::Duration;

use pgq_queue::JobFilterBody;
use pgq_queue::job_change::{Chosen, Order, Verb, apply};
use pgq_queue::told::told;
use pgq_queue::{Actor, Operator, PauseOrder, PauseTarget};
use serde_json::json;
use tokio::time::timeout;

use crate::filter_line;
use crate::text::safe;

/// Jobs that are changed at a time. What is beyond is done by doing it again.
const MOST: usize = 100_000;
/// A count, and a change, that take longer are given up.
const COUNT_WITHIN: Duration = Duration::from_secs(20);
const CHANGE_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(crate) enum Todo {
    Jobs { verb: Verb, which: Which },
    Pause(PauseTarget),
    Resume(PauseTarget),
}

/// Which jobs.
#[derive(Debug, Clone)]
pub(crate) enum Which {
    Named(Chosen),
    /// Those that match, which are not counted yet.
    Matching(Box<JobFilterBody>),
    /// They were counted. `more`: there are more than are changed at a time.
    Counted {
        filter: Box<JobFilterBody>,
        chosen: Chosen,
        more: bool,
    },
}

fn named(target: &PauseTarget) -> String {
    match target {
        PauseTarget::All => "everything".into(),
        PauseTarget::Plugin(name) => format!("the plugin {}", safe(name)),
        PauseTarget::Entrypoint(name) => format!("the entrypoint {}", safe(name)),
        PauseTarget::Sha256(digits) => format!("versions {}", safe(digits)),
    }
}

fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Cancel => "Cancel",
        Verb::Requeue => "Requeue",
        Verb::RetryNow => "Run now",
        Verb::Reschedule => "Reschedule",
        Verb::Edit => "Edit",
    }
}

fn many(jobs: usize) -> String {
    pgq_job::units::many(jobs, "job")
}

impl Todo {
    /// What is asked before it is done.
    pub(crate) fn question(&self) -> String {
        match self {
            Todo::Jobs { verb, which: Which::Matching(_) } => format!("{}: counting the jobs ...", word(*verb)),
            Todo::Jobs { verb, which: Which::Named(chosen) } => match chosen.ids.as_slice() {
                [id] => format!("{} job {id}?", word(*verb)),
                ids => format!("{} {}?", word(*verb), many(ids.len())),
            },
            Todo::Jobs { verb, which: Which::Counted { chosen, .. } } if chosen.ids.is_empty() => {
                format!("{}: no job can be changed so.", word(*verb))
            }
            Todo::Jobs { verb, which: Which::Counted { chosen, .. } } => {
                format!("{} {}?", word(*verb), many(chosen.ids.len()))
            }
            Todo::Pause(target) => format!("Pause {}?", named(target)),
            Todo::Resume(target) => format!("Resume {}?", named(target)),
        }
    }

    /// What it means.
    pub(crate) fn meaning(&self) -> Vec<String> {
        match self {
            Todo::Jobs { verb, which } => {
                let mut lines = vec![verb.meaning().to_owned()];
                if let Which::Matching(filter) | Which::Counted { filter, .. } = which {
                    let filter = filter_line::write(filter);
                    lines.push(match filter.is_empty() {
                        true => "No filter: ALL jobs of the queue.".into(),
                        false => format!("All that match {}", safe(&filter)),
                    });
                }
                if let Which::Counted { more: true, .. } = which {
                    lines.push("There are more. These are changed now; do it again for the others.".into());
                }
                lines
            }
            Todo::Pause(_) => vec![
                "Hosts begin none of its jobs until it is resumed. Those that run end normally, and Python workers go on."
                    .into(),
            ],
            Todo::Resume(_) => vec!["Hosts claim its jobs again.".into()],
        }
    }

    /// Somebody has to say why.
    pub(crate) fn needs_reason(&self) -> bool {
        matches!(self, Todo::Pause(_))
    }

    /// Whether it can be done now.
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Todo::Jobs { which: Which::Matching(_), .. } => false,
            Todo::Jobs { which: Which::Counted { chosen, .. }, .. } => !chosen.ids.is_empty(),
            _ => true,
        }
    }

    /// Whether this is what was counted.
    pub(crate) fn is_counted_by(&self, counted: &Todo) -> bool {
        match (self, counted) {
            (
                Todo::Jobs { verb, which: Which::Matching(filter) },
                Todo::Jobs { verb: done, which: Which::Counted { filter: of, .. } },
            ) => verb == done && filter == of,
            _ => false,
        }
    }

    /// With the jobs that match, counted.
    pub(crate) async fn counted(self, operator: &Operator) -> Result<Todo, String> {
        let Todo::Jobs { verb, which: Which::Matching(filter) } = self else { return Ok(self) };
        let wanted = filter.changeable(verb.statuses()).map_err(|error| error.to_string())?;
        let statuses = wanted.status.map_or_else(|| verb.statuses().to_vec(), |status| vec![status]);
        let matching = Box::pin(operator.matching_up_to(&wanted, &statuses, MOST));
        let (ids, more) = match timeout(COUNT_WITHIN, matching).await {
            Ok(found) => found.map_err(|error| told(&error))?,
            Err(_) => return Err(format!("the jobs were not counted within {} s", COUNT_WITHIN.as_secs())),
        };
        let chosen = Chosen { ids, statuses: Some(statuses), asked: json!(filter) };
        Ok(Todo::Jobs { verb, which: Which::Counted { filter, chosen, more } })
    }

    /// Do it, and note who did. Returns what was done.
    pub(crate) async fn done(self, operator: &Operator, actor: &Actor) -> Result<String, String> {
        match timeout(CHANGE_WITHIN, Box::pin(self.apply(operator, actor))).await {
            Ok(done) => done.map_err(|error| told(&error)),
            Err(_) => Err(format!(
                "the database did not answer within {} s: whether it was done, the audit tells (pgq-host audit)",
                CHANGE_WITHIN.as_secs()
            )),
        }
    }

    async fn apply(self, operator: &Operator, actor: &Actor) -> sqlx::Result<String> {
        match self {
            Todo::Jobs { verb, which } => {
                let (Which::Named(chosen) | Which::Counted { chosen, .. }) = which else {
                    return Ok("Nothing was done: the jobs were not counted.".into());
                };
                let report = apply(operator, actor, Order::plain(verb), &chosen).await?;
                let left = chosen.ids.len().saturating_sub(report.changed);
                let done = format!("{} {}.", verb.done(), many(report.changed));
                Ok(match left {
                    0 => done,
                    left => format!("{done} {} left as they are: {}.", many(left), verb.left()),
                })
            }
            Todo::Pause(target) => {
                let reason = actor.reason.clone().unwrap_or_default();
                let author = actor.author.clone();
                let order = PauseOrder { target, reason, author, lasts: None, skips_ticks: false };
                if !operator.knows_pauses().await? {
                    return Ok(NO_PAUSES.into());
                }
                let until = operator.pause(&order).await?;
                let asked = json!({ "target": order.target, "until": until, "skip_ticks": false });
                operator.begin_audit("pause", actor, &asked).await?;
                let hosts = operator.hosts_if_any().await?.len();
                let told = pgq_job::units::many(hosts, "host");
                Ok(format!("Paused {} until it is resumed. Told {told}.", named(&order.target)))
            }
            Todo::Resume(target) => {
                if !operator.knows_pauses().await? {
                    return Ok(NO_PAUSES.into());
                }
                if !operator.resume(&target).await? {
                    return Ok(format!("Nothing was done: {} is not paused.", named(&target)));
                }
                operator.begin_audit("resume", actor, &json!({ "target": target })).await?;
                Ok(format!("Resumed {}.", named(&target)))
            }
        }
    }
}

const NO_PAUSES: &str = "Nothing was done: the database has no table for pauses, or this role may not use it. Run pgq-host upgrade and pgq-host grant ROLE --apply.";
