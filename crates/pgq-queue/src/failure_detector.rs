//! Detecting workers whose sessions have all ended. All workers of a queue take turns at polling,
//! so that there is a poll every 200 ms however many workers there are. There is no leader to fail
//! over. A worker that is alone, or whose queue is idle, polls rarely.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::SqlStr;
use sqlx::postgres::PgListener;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::millis::millis;
use super::presence::Peer;

/// Between two polls, whichever worker makes them.
const STEP: Duration = Duration::from_millis(200);
/// Time for a worker whose sessions were all cut to reconnect.
const CONFIRM: Duration = Duration::from_millis(350);
/// After its own start, how long this worker waits for workers that it has never seen alive.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same after a restart of the server or a lost connection. Workers come back one after the
/// other, the last of them once it has given up a connection that hangs.
const PATIENCE_AFTER_LOSS: Duration = Duration::from_secs(15);
/// After this long without a notification about jobs, ask whether other workers hold any. If none
/// does, poll once per `REST`, until jobs are heard of or seen. A worker that is alone rests as well,
/// and is notified when another joins.
const QUIET: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_secs(60);
/// A gone worker whose jobs only others can rescue stays announced; it is reported again after this
/// time.
const AGAIN: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(10);

/// One worker's part. It polls on the session that it is given, whose start is part of the
/// evidence.
#[derive(Debug)]
pub struct FailureDetector {
    me: Uuid,
    find_gone_workers: SqlStr,
    lost: mpsc::Sender<Uuid>,
    unannounced: Arc<watch::Sender<u64>>,
    /// Changes when there may be jobs of which no notification came.
    stirs: watch::Receiver<u64>,
    history: History,
    /// The last notification about jobs.
    heard: Instant,
    /// This is not the first session.
    begun: bool,
    pub(super) next: Instant,
}

impl FailureDetector {
    pub(super) fn new(
        me: Uuid,
        find_gone_workers: SqlStr,
        lost: mpsc::Sender<Uuid>,
        unannounced: Arc<watch::Sender<u64>>,
        stirs: watch::Receiver<u64>,
    ) -> FailureDetector {
        let now = Instant::now();
        FailureDetector {
            me,
            find_gone_workers,
            lost,
            unannounced,
            stirs,
            history: History::new(now, PATIENCE),
            heard: now,
            next: now,
            begun: false,
        }
    }

    /// Start on a new session. What was seen on the last one proves nothing any more.
    pub(super) async fn begin(&mut self, session: &mut PgListener) -> sqlx::Result<()> {
        let now = Instant::now();
        let patience = if self.begun { PATIENCE_AFTER_LOSS } else { PATIENCE };
        (self.history, self.heard) = (History::new(now, patience), now);
        self.poll(session, None).await?;
        self.begun = true;
        Ok(())
    }

    /// A worker joined. Unless this one rests, its next poll is soon enough.
    pub(super) fn joined(&mut self) {
        if self.history.resting {
            self.next = Instant::now();
        }
    }

    /// A notification about jobs came. All workers receive it at once, so each spreads its next
    /// poll over a round.
    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
        if self.history.resting && self.history.workers > 1 {
            self.history.resting = false;
            self.next = self.next.min(self.heard + self.history.round().mul_f64(fastrand::f64()));
        }
    }

    /// Resolves when it is this worker's turn to look at the others.
    pub(super) async fn turn(&mut self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(self.next) => return,
                Ok(()) = self.stirs.changed() => self.heard(),
            }
        }
    }

    /// Look at the others. `echo`: what is to come back over this session, too; returns whether it
    /// was sent.
    pub(super) async fn poll(&mut self, session: &mut PgListener, echo: Option<String>) -> sqlx::Result<bool> {
        let quiet = self.heard.elapsed() >= QUIET;
        let asked = sqlx::query_as(self.find_gone_workers.clone()).bind(self.me).bind(quiet).bind(echo);
        let asked = asked.fetch_all(session);
        let peers: Vec<Peer> = match tokio::time::timeout(TIMEOUT, asked).await {
            Ok(peers) => peers?,
            Err(_) => {
                return Err(sqlx::Error::Io(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "no answer to a look at the other workers",
                )));
            }
        };
        if !peers.iter().any(|peer| peer.id == self.me) {
            self.unannounced.send_modify(|times| *times += 1);
        }
        let now = Instant::now();
        let (gone, wait) = self.history.judge(self.me, now, &peers);
        for worker in gone {
            // Full only when the database does not keep up with the rescue: this worker is reported
            // again.
            let _ = self.lost.try_send(worker);
        }
        self.next = now + wait;
        // Where nobody is announced, there is no row to bear it.
        Ok(peers.first().is_some_and(|peer| peer.echoes))
    }
}

/// What was seen on one session.
#[derive(Debug)]
struct History {
    began: Instant,
    /// How long to wait for workers that were not seen on this session.
    patience: Duration,
    /// Living workers, this one included.
    workers: usize,
    resting: bool,
    /// Workers that had a session since ours began.
    seen: HashSet<Uuid>,
    /// Workers without one, and since when.
    missing: HashMap<Uuid, Instant>,
    /// Workers that were reported as gone, and when.
    reported: HashMap<Uuid, Instant>,
}

impl History {
    fn new(began: Instant, patience: Duration) -> History {
        History {
            began,
            patience,
            workers: 1,
            resting: false,
            seen: HashSet::new(),
            missing: HashMap::new(),
            reported: HashMap::new(),
        }
    }

    fn round(&self) -> Duration {
        STEP * u32::try_from(self.workers).unwrap_or(u32::MAX)
    }

    /// The workers that are gone and were not reported lately, and the time until the next poll.
    fn judge(&mut self, me: Uuid, now: Instant, peers: &[Peer]) -> (Vec<Uuid>, Duration) {
        let listed: HashSet<Uuid> = peers.iter().map(|peer| peer.id).collect();
        self.seen.retain(|id| listed.contains(id));
        self.missing.retain(|id, _| listed.contains(id));
        self.reported.retain(|id, at| listed.contains(id) && now < *at + AGAIN);
        let rest = if peers.iter().any(|peer| peer.gone && peer.id != me) { AGAIN } else { REST };
        let (mut gone, mut wait) = (Vec::new(), rest);
        // After a restart of the server, nobody knows which workers were there before.
        let up = Duration::from_millis(peers.first().map_or(0, |peer| u64::try_from(peer.up_ms).unwrap_or(0)));
        let settled = now + PATIENCE_AFTER_LOSS.saturating_sub(up);
        for peer in peers.iter().filter(|peer| peer.id != me) {
            if !peer.gone {
                self.seen.insert(peer.id);
                self.missing.remove(&peer.id);
                continue;
            }
            let since = *self.missing.entry(peer.id).or_insert(now);
            let patient =
                if self.seen.contains(&peer.id) { self.began } else { (self.began + self.patience).max(settled) };
            let sure = (since + CONFIRM).max(patient);
            if now < sure {
                wait = wait.min(sure - now);
            } else if let Entry::Vacant(untold) = self.reported.entry(peer.id) {
                untold.insert(now);
                gone.push(peer.id);
            }
        }
        let living: Vec<Uuid> = peers.iter().filter(|peer| !peer.gone || peer.id == me).map(|peer| peer.id).collect();
        self.workers = living.len().max(1);
        let busy = peers.first().is_some_and(|peer| peer.busy && self.workers > 1);
        if busy {
            let position = living.iter().position(|id| *id == me).unwrap_or(0);
            wait = wait.min(self.turn(peers[0].clock_ms, position));
        }
        self.resting = !busy && wait == rest;
        (gone, wait)
    }

    /// From this time of the server's clock until the turn of the worker at this position.
    fn turn(&self, clock_ms: i64, position: usize) -> Duration {
        let (step, round) = (millis(STEP), millis(self.round()));
        let mine = step * i64::try_from(position).unwrap_or(0);
        match (mine - clock_ms).rem_euclid(round) {
            // Just had it, or so close that it would be had twice.
            ms if ms < step / 5 => Duration::from_millis((ms + round).cast_unsigned()),
            ms => Duration::from_millis(ms.cast_unsigned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);
    const MS: Duration = Duration::from_millis(1);

    fn peer(id: Uuid, gone: bool, up_ms: i64, busy: bool) -> Peer {
        Peer { id, gone, clock_ms: 0, up_ms, busy, echoes: false }
    }

    fn peers(states: &[(Uuid, bool)], busy: bool) -> Vec<Peer> {
        states.iter().map(|(id, gone)| peer(*id, *gone, 3_600_000, busy)).collect()
    }

    #[test]
    fn a_worker_that_was_seen_is_gone_when_it_is_missing_twice_in_a_row() {
        let began = Instant::now();
        let mut history = History::new(began, PATIENCE);
        let mut at =
            |ms: u32, gone: bool| history.judge(ME, began + ms * MS, &peers(&[(ME, false), (OTHER, gone)], true));
        assert!(at(0, false).0.is_empty());
        let (gone, wait) = at(500, true);
        assert!(gone.is_empty() && wait == CONFIRM, "{wait:?}");
        assert!(at(700, false).0.is_empty(), "it is back");
        assert!(at(1000, true).0.is_empty(), "the first time again");
        assert!(at(1300, true).0.is_empty(), "too soon");
        assert_eq!(at(1350, true).0, [OTHER]);
        assert!(at(2000, true).0.is_empty(), "told already");
        assert_eq!(at(1350 + 30_000, true).0, [OTHER], "others have not cleared it away");
    }

    #[test]
    fn after_our_own_reconnection_the_others_have_time_for_theirs() {
        let began = Instant::now();
        let third = Uuid::from_u128(3);
        let mut history = History::new(began, PATIENCE);
        let mut at = |ms: u32, states: &[(Uuid, bool)]| history.judge(ME, began + ms * MS, &peers(states, true));
        assert!(at(0, &[(ME, false), (OTHER, true), (third, true)]).0.is_empty());
        let (gone, wait) = at(4900, &[(ME, false), (OTHER, true), (third, false)]);
        assert!(gone.is_empty() && wait == 100 * MS, "{wait:?}");
        assert_eq!(at(5000, &[(ME, false), (OTHER, true), (third, false)]).0, [OTHER]);
    }

    #[test]
    fn after_a_restart_of_the_server_all_workers_have_time() {
        let began = Instant::now();
        let mut history = History::new(began, PATIENCE);
        let mut at = |ms: u32, up_ms: i64| {
            let state = [(ME, false), (OTHER, true)].map(|(id, gone)| peer(id, gone, up_ms, true));
            history.judge(ME, began + ms * MS, &state).0
        };
        assert!(at(0, 1_000).is_empty());
        assert!(
            at(13_900, 14_900).is_empty(),
            "a worker that came after the restart has not seen who was there before"
        );
        assert_eq!(at(14_000, 15_000), [OTHER]);
    }

    #[test]
    fn every_worker_has_a_turn_of_its_own() {
        for workers in 1..7 {
            let history = History { workers, ..History::new(Instant::now(), PATIENCE) };
            for clock in (0..10_000).step_by(37) {
                let at: HashSet<i64> =
                    (0..workers).map(|place| (clock + millis(history.turn(clock, place))) / 200).collect();
                assert_eq!(at.len(), workers, "{workers} at {clock}");
                for place in 0..workers {
                    let wait = history.turn(clock, place);
                    assert!(wait >= STEP / 5 && wait <= history.round() + STEP / 5, "{wait:?}");
                }
            }
        }
    }

    #[test]
    fn a_worker_that_is_alone_or_whose_queue_is_idle_polls_rarely() {
        let began = Instant::now();
        let mut history = History::new(began, PATIENCE);
        assert_eq!(history.judge(ME, began, &peers(&[(ME, false)], true)), (vec![], REST));
        assert!(history.resting && history.workers == 1);
        assert!(history.judge(ME, began, &peers(&[(ME, false), (OTHER, false)], true)).1 <= 3 * STEP);
        assert!(!history.resting && history.workers == 2);
        assert_eq!(history.judge(ME, began, &peers(&[(ME, false), (OTHER, false)], false)), (vec![], REST));
        assert!(history.resting);
        assert_eq!(
            history.judge(ME, began, &peers(&[(ME, false), (OTHER, true)], false)).1,
            CONFIRM,
            "a death is looked into all the same"
        );
        assert!(!history.resting);
    }
}
