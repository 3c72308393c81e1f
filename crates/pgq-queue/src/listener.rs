//! LISTEN: notifications are hints that there may be work. Polling makes sure; a lost listener
//! costs time, never a job.

use std::io;
use std::time::Duration;

use chrono::Utc;
use serde::Deserialize;
use serde_json::json;
use sqlx::SqlStr;
use sqlx::postgres::PgListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::fleet::JOINED;
use super::{FailureDetector, FleetCommand, ListenFrom};
use crate::told::Told as _;
use pgq_job::JobId;

const FIRST_RETRY: Duration = Duration::from_millis(20);
/// The longest pause between two reconnections. Shorter than other workers wait, after a restart of
/// the server, for this one to be back.
const LAST_RETRY: Duration = Duration::from_secs(2);
/// Silence after which the connection is probed.
const ECHO_PERIOD: Duration = Duration::from_secs(60);
const ECHO_TIMEOUT: Duration = Duration::from_secs(10);
/// A look at the other workers asks for the echo as well, if that would be due this soon.
const ECHO_SOON: Duration = Duration::from_secs(10);

/// What a worker is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Rows were inserted, or became queued again.
    Work,
    /// Rows were deleted: a slot of a limited entrypoint may be free.
    Gone,
    /// These jobs were cancelled.
    Cancelled(Vec<JobId>),
    /// The connection is gone. Notifications are lost until it is back.
    Lost,
    /// The connection is back.
    Back,
}

impl Event {
    /// The meaning of a payload on PgQueuer's channel; `None`: it does not matter to a worker.
    pub fn parse(payload: &str) -> Option<Event> {
        match serde_json::from_str(payload) {
            Ok(Payload::TableChanged { operation }) => Some(match operation.as_str() {
                "delete" | "truncate" => Event::Gone,
                _ => Event::Work,
            }),
            Ok(Payload::Cancellation { ids }) => Some(Event::Cancelled(ids)),
            Ok(Payload::HealthCheck {}) => None,
            Err(error) => {
                tracing::debug!(payload, error = %error.told(), "not an event of PgQueuer's");
                None
            }
        }
    }
}

/// PgQueuer's events, by their `type`.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Payload {
    #[serde(rename = "table_changed_event")]
    TableChanged { operation: String },
    #[serde(rename = "cancellation_event")]
    Cancellation { ids: Vec<JobId> },
    #[serde(rename = "health_check_event")]
    HealthCheck {},
}

/// Where to listen, and whom to tell.
pub struct Listener {
    pub from: ListenFrom,
    pub channel: String,
    /// The channel of pgq-host's own commands.
    pub fleet_channel: String,
    /// To the worker. The listener ends when the receiver is dropped.
    pub events: mpsc::Sender<Event>,
    /// Commands, to the reload task.
    pub commands: mpsc::Sender<FleetCommand>,
    /// Watches the other workers on the listening session.
    pub watch: Option<FailureDetector>,
    /// Finds out which jobs are cancelled: [`Queue::cancelled`](super::Queue::cancelled).
    pub cancelled: SqlStr,
    /// Whether the listening session is open.
    pub present: watch::Sender<bool>,
    /// Set after the first attempt, successful or not: from then on notifications are heard, or
    /// known to be lost.
    pub tried: oneshot::Sender<()>,
}

/// Pass on notifications until all receivers are dropped.
pub async fn listen(listener: Listener) {
    let Listener { from, channel, fleet_channel, events, commands, mut watch, cancelled, present, tried } = listener;
    let mut tried = Some(tried);
    let mut retry = FIRST_RETRY;
    let mut was_lost = false;
    while !events.is_closed() {
        // From before the session is opened, so that no news about it is missed.
        let mut left = from.left();
        let subscribed = subscribe(&from, &[&channel, &fleet_channel], watch.as_mut()).await;
        present.send_replace(subscribed.is_ok());
        if let Some(tried) = tried.take() {
            let _ = tried.send(());
        }
        match subscribed {
            Ok(listener) => {
                retry = FIRST_RETRY;
                if was_lost {
                    tracing::info!(channel, "listening again");
                    let _ = events.send(Event::Back).await;
                }
                if let Err(error) =
                    forward(&channel, listener, &events, &commands, watch.as_mut(), &cancelled, &mut left).await
                {
                    present.send_replace(false);
                    tracing::warn!(channel, error = %error.told(), "the listening connection is lost; polling until it is back");
                }
            }
            // Logged once per outage.
            Err(error) if retry < LAST_RETRY => {
                tracing::warn!(channel, error = %error.told(), retry_in_ms = retry.as_millis(), "cannot listen; polling until it works");
            }
            Err(error) => tracing::debug!(channel, error = %error.told(), "cannot listen; polling until it works"),
        }
        if !was_lost || retry == FIRST_RETRY {
            let _ = events.send(Event::Lost).await;
        }
        was_lost = true;
        tokio::select! {
            () = events.closed() => {}
            () = tokio::time::sleep(retry.mul_f64(0.5 + fastrand::f64() / 2.0)) => {}
        }
        retry = (retry * 2).min(LAST_RETRY);
    }
}

async fn subscribe(
    from: &ListenFrom,
    channels: &[&str],
    watch: Option<&mut FailureDetector>,
) -> sqlx::Result<PgListener> {
    // The driver would reconnect silently. Notifications are lost meanwhile, so the worker must be
    // told to poll.
    let mut listener = from.listener().await?;
    match tokio::time::timeout(ECHO_TIMEOUT, listener.listen_all(channels.iter().copied())).await {
        Ok(listening) => listening?,
        Err(_) => return Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer to LISTEN"))),
    }
    if let Some(watch) = watch {
        watch.begin(&mut listener).await?;
    }
    Ok(listener)
}

/// Ends when the connection is lost, or when a probe is not echoed.
async fn forward(
    channel: &str,
    mut listener: PgListener,
    events: &mpsc::Sender<Event>,
    commands: &mpsc::Sender<FleetCommand>,
    mut detector: Option<&mut FailureDetector>,
    cancelled: &SqlStr,
    left: &mut watch::Receiver<u64>,
) -> sqlx::Result<()> {
    // A connection whose other end vanished (a failover, a firewall that dropped its state) looks
    // idle for ever: ask for an echo now and then.
    let me = Uuid::new_v4();
    let mut echo = Echo::Due(Instant::now() + ECHO_PERIOD);
    loop {
        let notification = tokio::select! {
            () = events.closed() => return Ok(()),
            Ok(()) = left.changed() => return Err(gone("the server is read-only by now")),
            () = tokio::time::sleep_until(echo.at()) => {
                match echo {
                    Echo::Due(_) => {
                        // A look at the others carries it. From then on both are due at once.
                        let sent = match &mut detector {
                            Some(watch) => watch.poll(&mut listener, Some(health_check(channel, me))).await?,
                            None => false,
                        };
                        if !sent {
                            ask_for_echo(&mut listener, channel, me).await?;
                        }
                        echo = Echo::asked();
                    }
                    Echo::Asked(_) => return Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no echo came back"))),
                }
                continue;
            }
            watch = turn(&mut detector) => {
                let probe = echo.is_due_within(ECHO_SOON).then(|| health_check(channel, me));
                if watch.poll(&mut listener, probe).await? {
                    echo = Echo::asked();
                }
                continue;
            }
            notification = listener.try_recv() => notification?,
        };
        let Some(notification) = notification else {
            return Err(gone("the connection was closed"));
        };
        // Any notification shows that the connection is alive.
        echo = Echo::Due(Instant::now() + ECHO_PERIOD);
        if notification.channel() != channel {
            if notification.payload() == JOINED {
                detector.iter_mut().for_each(|watch| watch.joined());
                continue;
            }
            match serde_json::from_str(notification.payload()) {
                Ok(command) => drop(commands.send(command).await),
                Err(error) => {
                    tracing::debug!(payload = notification.payload(), error = %error.told(), "no command of this version's")
                }
            }
        } else if let Some(event) = Event::parse(notification.payload()) {
            detector.iter_mut().for_each(|watch| watch.heard());
            let event = match event {
                Event::Cancelled(ids) => {
                    let by = notification.process_id().cast_signed();
                    let really = confirm(&mut listener, cancelled, &ids, by).await?;
                    if really.len() < ids.len() {
                        tracing::warn!(
                            jobs = ids.len() - really.len(),
                            pid = by,
                            "a notification says that these jobs are cancelled, and comes from a role that cannot cancel jobs; ignored"
                        );
                    }
                    Event::Cancelled(really)
                }
                event => event,
            };
            if events.send(event).await.is_err() {
                return Ok(());
            }
        }
    }
}

fn gone(how: &'static str) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::ConnectionReset, how))
}

/// Those that are cancelled.
async fn confirm(listener: &mut PgListener, sql: &SqlStr, ids: &[JobId], by: i32) -> sqlx::Result<Vec<JobId>> {
    let asking = sqlx::query_scalar(sql.clone()).bind(ids).bind(by).fetch_all(listener);
    match tokio::time::timeout(ECHO_TIMEOUT, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer to a question"))),
    }
}

/// Resolves when it is this worker's turn to look for gone workers.
async fn turn<'a>(watch: &'a mut Option<&mut FailureDetector>) -> &'a mut FailureDetector {
    match watch {
        Some(watch) => {
            watch.turn().await;
            watch
        }
        None => std::future::pending().await,
    }
}

/// When to send a probe, or by when its echo must have come.
enum Echo {
    Due(Instant),
    Asked(Instant),
}

impl Echo {
    fn asked() -> Echo {
        Echo::Asked(Instant::now() + ECHO_TIMEOUT)
    }

    fn is_due_within(&self, time: Duration) -> bool {
        matches!(self, Echo::Due(at) if *at <= Instant::now() + time)
    }

    fn at(&self) -> Instant {
        match self {
            Echo::Due(at) | Echo::Asked(at) => *at,
        }
    }
}

/// PgQueuer's own health check.
fn health_check(channel: &str, id: Uuid) -> String {
    json!({"channel": channel, "sent_at": Utc::now(), "type": "health_check_event", "id": id}).to_string()
}

/// A health check: every listener receives it, and all but the sender ignore it.
async fn ask_for_echo(listener: &mut PgListener, channel: &str, id: Uuid) -> sqlx::Result<()> {
    let asked = sqlx::query("SELECT pg_notify($1, $2)").bind(channel).bind(health_check(channel, id)).execute(listener);
    match tokio::time::timeout(ECHO_TIMEOUT, asked).await {
        Ok(asked) => asked.map(drop),
        Err(_) => Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the connection does not answer"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pgqueuers_events_are_read_with_and_without_received_at() {
        let table = r#"{"channel":"ch_pgqueuer","operation":"insert","sent_at":"2026-11-23T00:13:12.942253+00:00","table":"pgqueuer","type":"table_changed_event"}"#;
        assert_eq!(Event::parse(table), Some(Event::Work));
        assert_eq!(Event::parse(&table.replace("insert", "delete")), Some(Event::Gone));
        let cancel = r#"{"channel":"ch_pgqueuer","sent_at":"2026-11-23T00:13:12Z","type":"cancellation_event","received_at":"2026-11-23T00:13:12Z","ids":[1,2]}"#;
        assert_eq!(Event::parse(cancel), Some(Event::Cancelled(vec![1, 2])));
        let health = r#"{"channel":"ch_pgqueuer","sent_at":"2026-11-23T00:13:12Z","type":"health_check_event","id":"5e4b9b0e-0000-0000-0000-000000000000"}"#;
        assert_eq!((Event::parse(health), Event::parse("hello"), Event::parse("{}")), (None, None, None));
    }
}
