//! LISTEN: hints that there may be work. Polling is what makes sure; a lost listener costs time, never a job.

use std::io;
use std::time::Duration;

use chrono::Utc;
use serde::Deserialize;
use serde_json::json;
use sqlx::postgres::PgListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::fleet::JOINED;
use super::{FleetCommand, ListenFrom, Watch};
use crate::job::JobId;
use crate::told::Told as _;

const FIRST_RETRY: Duration = Duration::from_millis(20);
/// Less than the others wait before they judge a worker that is not back after a restart of the server.
const LAST_RETRY: Duration = Duration::from_secs(2);
/// After so long without any notification the connection is tried.
const ECHO_PERIOD: Duration = Duration::from_secs(60);
const ECHO_TIMEOUT: Duration = Duration::from_secs(10);

/// What came over the channel, as far as a worker cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Rows came, or became queued again.
    Work,
    /// Rows went: a seat of a limited entrypoint may be free.
    Gone,
    /// Somebody cancelled these jobs.
    Cancelled(Vec<JobId>),
    /// The connection is gone; whatever was sent since is lost.
    Lost,
    /// The connection is back.
    Back,
}

impl Event {
    /// What this payload of PgQueuer's channel says, if a worker cares.
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

/// PgQueuer's events, told apart by `type`.
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

/// Where to listen, and who wants to know.
pub struct Listener {
    /// Where from.
    pub from: ListenFrom,
    /// PgQueuer's.
    pub channel: String,
    /// Of hosts alone.
    pub fleet_channel: String,
    /// For the worker. The listener ends with its receiver.
    pub events: mpsc::Sender<Event>,
    /// For whoever looks after the plugins.
    pub commands: mpsc::Sender<FleetCommand>,
    /// Watches the other workers on the listening session.
    pub watch: Option<Watch>,
    /// Told whether there is a listening session.
    pub present: watch::Sender<bool>,
    /// Told after the first attempt, whether it went well or not: what is said from then on is heard, or known to be lost.
    pub tried: oneshot::Sender<()>,
}

/// Pass on what comes over the channels until nobody wants it any more.
pub async fn listen(listener: Listener) {
    let Listener { from, channel, fleet_channel, events, commands, mut watch, present, tried } = listener;
    let mut tried = Some(tried);
    let mut retry = FIRST_RETRY;
    let mut was_lost = false;
    while !events.is_closed() {
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
                if let Err(error) = forward(&channel, listener, &events, &commands, watch.as_mut()).await {
                    present.send_replace(false);
                    tracing::warn!(channel, error = %error.told(), "the listening connection is lost; polling until it is back");
                }
            }
            // The last of these is said once, however long it takes.
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

async fn subscribe(from: &ListenFrom, channels: &[&str], watch: Option<&mut Watch>) -> sqlx::Result<PgListener> {
    // What comes while a connection is down is lost: we want to know about it, and look for ourselves.
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

/// Ends when the connection does, or when it does not bring back what was sent.
async fn forward(
    channel: &str,
    mut listener: PgListener,
    events: &mpsc::Sender<Event>,
    commands: &mpsc::Sender<FleetCommand>,
    mut watch: Option<&mut Watch>,
) -> sqlx::Result<()> {
    // A connection whose other end vanished (a fail-over, a firewall that forgot it) looks idle for ever: ask for an echo now and then.
    let me = Uuid::new_v4();
    let mut echo = Echo::Due(Instant::now() + ECHO_PERIOD);
    loop {
        let notification = tokio::select! {
            () = events.closed() => return Ok(()),
            () = tokio::time::sleep_until(echo.at()) => {
                match echo {
                    Echo::Due(_) => {
                        ask_for_echo(&mut listener, channel, me).await?;
                        echo = Echo::Asked(Instant::now() + ECHO_TIMEOUT);
                    }
                    Echo::Asked(_) => return Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no echo came back"))),
                }
                continue;
            }
            watch = turn(&mut watch) => {
                watch.look(&mut listener).await?;
                continue;
            }
            notification = listener.try_recv() => notification?,
        };
        let Some(notification) = notification else {
            return Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::ConnectionReset, "the connection was closed")));
        };
        // Whatever comes shows that the connection lives.
        echo = Echo::Due(Instant::now() + ECHO_PERIOD);
        if notification.channel() != channel {
            if notification.payload() == JOINED {
                watch.iter_mut().for_each(|watch| watch.joined());
                continue;
            }
            match serde_json::from_str(notification.payload()) {
                Ok(command) => drop(commands.send(command).await),
                Err(error) => tracing::debug!(payload = notification.payload(), error = %error.told(), "no command of this version's"),
            }
        } else if let Some(event) = Event::parse(notification.payload()) {
            watch.iter_mut().for_each(|watch| watch.heard());
            if events.send(event).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Resolves when it is our turn to look.
async fn turn<'a>(watch: &'a mut Option<&mut Watch>) -> &'a mut Watch {
    match watch {
        Some(watch) => {
            tokio::time::sleep_until(watch.next).await;
            watch
        }
        None => std::future::pending().await,
    }
}

/// When to ask for an echo, or by when it must have come.
enum Echo {
    Due(Instant),
    Asked(Instant),
}

impl Echo {
    fn at(&self) -> Instant {
        match self {
            Echo::Due(at) | Echo::Asked(at) => *at,
        }
    }
}

/// PgQueuer's own health check: every listener hears it, and all but the sender pass over it.
async fn ask_for_echo(listener: &mut PgListener, channel: &str, id: Uuid) -> sqlx::Result<()> {
    let event = json!({"channel": channel, "sent_at": Utc::now(), "type": "health_check_event", "id": id});
    let asked = sqlx::query("SELECT pg_notify($1, $2)").bind(channel).bind(event.to_string()).execute(listener);
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
