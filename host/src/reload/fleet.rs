//! Exchanges judgements on plugin versions with the other hosts of the queue through the database.
//! If the database has no table for them, they stay on this host.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use pgq_job::judgement::{Judgement, Judgements};
use pgq_queue::{Queue, Seen};

/// When the table is read if no announcement of this host says that nothing changed, which it does
/// more often.
const POLL_INTERVAL: Duration = Duration::from_secs(80);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// How long to wait for an answer from the database.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to keep writing judgements during a stop.
const FINAL_WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// A message from the reload task.
#[derive(Debug)]
pub(super) enum Message {
    Found(Box<Judgement>),
    /// An operator resets this name.
    Forget(String),
}

/// The reload task's end of the link.
#[derive(Debug)]
pub struct Link {
    messages: mpsc::UnboundedSender<Message>,
    changed: Arc<Notify>,
    pub(super) known: watch::Receiver<Arc<Judgements>>,
}

#[derive(Debug)]
pub struct Fleet {
    queue: Queue,
    messages: mpsc::UnboundedReceiver<Message>,
    changed: Arc<Notify>,
    known: watch::Sender<Arc<Judgements>>,
    /// Judgements that are not written yet, by subject.
    pending: HashMap<String, Judgement>,
    /// Of what was read last.
    fingerprint: Option<String>,
}

impl Link {
    pub(super) fn found(&self, judgement: Judgement) {
        // The receiver lives as long as the host.
        let _ = self.messages.send(Message::Found(Box::new(judgement)));
    }

    pub(super) fn forget(&self, name: &str) {
        let _ = self.messages.send(Message::Forget(name.to_owned()));
    }

    /// Read the table again: something in it changed.
    pub(super) fn refresh(&self) {
        self.changed.notify_one();
    }
}

/// Both ends of the link, with what is known at the start. If the database does not answer, it is
/// asked again later.
pub async fn join(queue: Queue) -> (Link, Fleet) {
    let mut fingerprint = None;
    let known: Judgements = match tokio::time::timeout(QUERY_TIMEOUT, queue.judgements()).await {
        Ok(Ok((judgements, read))) => {
            fingerprint = read;
            judgements.into_iter().collect()
        }
        Ok(Err(error)) => {
            tracing::warn!(error = %error, "cannot read earlier judgements on plugins; every file is judged again");
            Judgements::default()
        }
        Err(_) => Judgements::default(),
    };
    let (sender, receiver) = watch::channel(Arc::new(known));
    let (message_sender, messages) = mpsc::unbounded_channel();
    let changed = Arc::new(Notify::new());
    let link = Link { messages: message_sender, changed: Arc::clone(&changed), known: receiver };
    (link, Fleet { queue, messages, changed, known: sender, pending: HashMap::new(), fingerprint })
}

impl Fleet {
    /// Run until `stop`. `seen`: what this host's announcements tell.
    pub async fn keep(mut self, mut seen: watch::Receiver<Seen>, stop: CancellationToken) {
        let (mut wait, mut retry) = (POLL_INTERVAL, FIRST_RETRY);
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    while let Ok(messages) = self.messages.try_recv() {
                        self.take(messages);
                    }
                    let _ = tokio::time::timeout(FINAL_WRITE_TIMEOUT, self.write()).await;
                    return;
                }
                Some(messages) = self.messages.recv() => {
                    self.take(messages);
                    while let Ok(messages) = self.messages.try_recv() {
                        self.take(messages);
                    }
                }
                () = self.changed.notified() => {}
                Ok(()) = seen.changed() => {
                    let read = seen.borrow_and_update().verdicts == self.fingerprint;
                    if read && self.pending.is_empty() && wait == POLL_INTERVAL {
                        continue;
                    }
                }
                () = tokio::time::sleep(wait.mul_f64(1.0 + fastrand::f64() / 10.0)) => {}
            }
            (wait, retry) = match tokio::time::timeout(QUERY_TIMEOUT, self.exchange()).await {
                Ok(Ok(())) => (POLL_INTERVAL, FIRST_RETRY),
                failed => {
                    let error = match failed {
                        Ok(Err(error)) => error.to_string(),
                        _ => format!("no answer within {QUERY_TIMEOUT:?}"),
                    };
                    tracing::debug!(error, "cannot exchange judgements on plugin versions; trying again");
                    (retry, (retry * 2).min(LAST_RETRY))
                }
            };
        }
    }

    fn take(&mut self, messages: Message) {
        match messages {
            Message::Found(judgement) => {
                let subject = judgement.subject();
                if self.pending.get(&subject).is_none_or(|known| judgement.outweighs(known)) {
                    self.pending.insert(subject, *judgement);
                }
            }
            Message::Forget(name) => {
                self.pending.retain(|_, known| known.plugin != name && known.entrypoint.as_deref() != Some(&*name));
            }
        }
    }

    async fn exchange(&mut self) -> sqlx::Result<()> {
        self.write().await?;
        let (judgements, fingerprint) = self.queue.judgements().await?;
        self.fingerprint = fingerprint;
        let mut known: Judgements = judgements.into_iter().collect();
        self.pending.values().for_each(|judgement| known.add(judgement.clone()));
        self.known.send_replace(Arc::new(known));
        Ok(())
    }

    async fn write(&mut self) -> sqlx::Result<()> {
        if self.pending.is_empty() || !self.queue.keeps_judgements() {
            return Ok(());
        }
        let judgements: Vec<Judgement> = self.pending.values().cloned().collect();
        match self.queue.judge(&judgements).await {
            Ok(()) => {}
            // Invalid data will not be accepted the next time either.
            Err(sqlx::Error::Database(error))
                if error.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23")) =>
            {
                tracing::warn!(error = %error, "the database rejects the judgements on plugins; this host forgets them when it stops");
            }
            Err(error) => return Err(error),
        }
        self.pending.clear();
        Ok(())
    }
}
