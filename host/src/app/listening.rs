//! The listening session, and what comes over it.

use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::tasks::Tasks;
use pgq_queue::{self as queue, Event, FleetCommand, ListenFrom, Listener, Queue};

/// The ends of the listener's channels. Nothing comes over them where there is no session to listen
/// on.
pub(super) struct Listening {
    pub(super) events: mpsc::Receiver<Event>,
    /// For what looks after the plugins.
    pub(super) commands: mpsc::Receiver<FleetCommand>,
    /// Workers whose sessions are gone.
    pub(super) lost: mpsc::Receiver<Uuid>,
    /// Whether there is a listening session.
    pub(super) present: watch::Receiver<bool>,
}

/// Have a task listen, and wait until it has tried to: a cancellation of what is claimed from then
/// on is heard, or known to be lost.
///
/// Behind a pooler there may be no session to listen on; then the worker polls, and its lease is
/// all that speaks for it. `watches`: whether the sessions of the other workers are watched as
/// well.
pub(super) async fn listen(from: Option<ListenFrom>, queue: &Queue, watches: bool, tasks: &mut Tasks) -> Listening {
    let (event_sender, events) = mpsc::channel(1024);
    let (command_sender, commands) = mpsc::channel(16);
    let (lost_sender, lost) = mpsc::channel(64);
    let (present_sender, present) = watch::channel(false);
    let (tried_sender, tried) = oneshot::channel();
    if let Some(from) = from {
        let listener = queue::listen(Listener {
            from,
            channel: queue.names().channel.clone(),
            fleet_channel: queue.names().fleet_channel(),
            events: event_sender,
            commands: command_sender,
            watch: watches.then(|| queue.watch(lost_sender)),
            cancelled: queue.cancelled(),
            present: present_sender,
            tried: tried_sender,
        });
        tasks.spawn("listener", listener);
        let _ = tried.await;
    }
    Listening { events, commands, lost, present }
}
