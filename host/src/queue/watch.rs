//! Watching the other workers' sessions: all workers of a queue take turns, so that a look is due every fifth of a second, however
//! many they are, and nobody is in charge whose death would go unseen. Who is alone, or where nothing runs, hardly looks at all.

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

use super::presence::Peer;

/// From one look of anybody's to the next.
const STEP: Duration = Duration::from_millis(200);
/// A worker that is without a session for a moment, all of them cut, has so long to be back.
const CONFIRM: Duration = Duration::from_millis(350);
/// Whom a worker that just started has not seen alive has so long to show itself.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a restart of the server, or an interruption that was not ours alone, workers are back one after the other: the last of them when it
/// has given up a connection that hangs, and tried again.
const PATIENCE_AFTER_LOSS: Duration = Duration::from_secs(15);
/// When nothing was heard of jobs for so long, it is asked whether another worker holds any. If none does, a look a while is enough until
/// something is heard again.
const QUIET: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_secs(10);
/// Who is alone is told when somebody joins.
const ALONE: Duration = Duration::from_secs(60);
/// A worker whose jobs others serve stays announced until they have put them back.
const AGAIN: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(10);

/// One worker's part in it. The looks are made on the session that it is given, whose own beginning is part of the evidence.
#[derive(Debug)]
pub struct Watch {
    me: Uuid,
    look: SqlStr,
    lost: mpsc::Sender<Uuid>,
    unannounced: Arc<watch::Sender<u64>>,
    turns: Turns,
    /// When jobs were heard of last.
    heard: Instant,
    /// There was a session before.
    begun: bool,
    /// When to look next.
    pub(super) next: Instant,
}

impl Watch {
    pub(super) fn new(me: Uuid, look: SqlStr, lost: mpsc::Sender<Uuid>, unannounced: Arc<watch::Sender<u64>>) -> Watch {
        let now = Instant::now();
        Watch { me, look, lost, unannounced, turns: Turns::new(now, PATIENCE), heard: now, next: now, begun: false }
    }

    /// On a new session: what was seen on the last proves nothing any more. Who is there now was seen.
    pub(super) async fn begin(&mut self, session: &mut PgListener) -> sqlx::Result<()> {
        let now = Instant::now();
        let patience = if self.begun { PATIENCE_AFTER_LOSS } else { PATIENCE };
        (self.turns, self.heard) = (Turns::new(now, patience), now);
        self.look(session).await?;
        self.begun = true;
        Ok(())
    }

    /// A worker joined. Who looks in turns finds out soon enough.
    pub(super) fn joined(&mut self) {
        if self.turns.resting {
            self.next = Instant::now();
        }
    }

    /// Something happened to jobs. All workers hear it at once, and none of them looks because of it before its time.
    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
        if self.turns.resting && self.turns.workers > 1 {
            self.turns.resting = false;
            self.next = self.next.min(self.heard + self.turns.round().mul_f64(fastrand::f64()));
        }
    }

    pub(super) async fn look(&mut self, session: &mut PgListener) -> sqlx::Result<()> {
        let quiet = self.heard.elapsed() >= QUIET;
        let asked = sqlx::query_as(self.look.clone()).bind(self.me).bind(quiet).fetch_all(session);
        let peers: Vec<Peer> = match tokio::time::timeout(TIMEOUT, asked).await {
            Ok(peers) => peers?,
            Err(_) => return Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer to a look at the other workers"))),
        };
        if !peers.iter().any(|peer| peer.id == self.me) {
            self.unannounced.send_modify(|times| *times += 1);
        }
        let now = Instant::now();
        let (gone, wait) = self.turns.judge(self.me, now, &peers);
        for worker in gone {
            // Full only when the database does not keep up with putting jobs back: this one is told again.
            let _ = self.lost.try_send(worker);
        }
        self.next = now + wait;
        Ok(())
    }
}

/// What was seen on one session, and what follows from it.
#[derive(Debug)]
struct Turns {
    began: Instant,
    /// How long whoever was not seen since then has to show itself.
    patience: Duration,
    /// Who takes turns, this one included.
    workers: usize,
    resting: bool,
    /// Had a session since ours began.
    seen: HashSet<Uuid>,
    /// Without one since then.
    missing: HashMap<Uuid, Instant>,
    /// Was told of as gone then.
    told: HashMap<Uuid, Instant>,
}

impl Turns {
    fn new(began: Instant, patience: Duration) -> Turns {
        Turns { began, patience, workers: 1, resting: false, seen: HashSet::new(), missing: HashMap::new(), told: HashMap::new() }
    }

    fn round(&self) -> Duration {
        STEP * u32::try_from(self.workers).unwrap_or(u32::MAX)
    }

    /// Who is gone for good, of those that were not told of just now, and how long to wait for the next look.
    fn judge(&mut self, me: Uuid, now: Instant, peers: &[Peer]) -> (Vec<Uuid>, Duration) {
        let listed: HashSet<Uuid> = peers.iter().map(|peer| peer.id).collect();
        self.seen.retain(|id| listed.contains(id));
        self.missing.retain(|id, _| listed.contains(id));
        self.told.retain(|id, at| listed.contains(id) && now < *at + AGAIN);
        let rest = if peers.iter().any(|peer| peer.id != me) { REST } else { ALONE };
        let (mut gone, mut wait) = (Vec::new(), rest);
        // Of a server that just started, nobody knows who was there before.
        let up = Duration::from_millis(peers.first().map_or(0, |peer| u64::try_from(peer.up_ms).unwrap_or(0)));
        let settled = now + PATIENCE_AFTER_LOSS.saturating_sub(up);
        for peer in peers.iter().filter(|peer| peer.id != me) {
            if !peer.gone {
                self.seen.insert(peer.id);
                self.missing.remove(&peer.id);
                continue;
            }
            let since = *self.missing.entry(peer.id).or_insert(now);
            let patient = if self.seen.contains(&peer.id) { self.began } else { (self.began + self.patience).max(settled) };
            let sure = (since + CONFIRM).max(patient);
            if now < sure {
                wait = wait.min(sure - now);
            } else if let Entry::Vacant(untold) = self.told.entry(peer.id) {
                untold.insert(now);
                gone.push(peer.id);
            }
        }
        let living: Vec<Uuid> = peers.iter().filter(|peer| !peer.gone || peer.id == me).map(|peer| peer.id).collect();
        self.workers = living.len().max(1);
        let busy = peers.first().is_some_and(|peer| peer.busy && self.workers > 1);
        if busy {
            let place = living.iter().position(|id| *id == me).unwrap_or(0);
            wait = wait.min(self.turn(peers[0].clock_ms, place));
        }
        self.resting = !busy && wait == rest;
        (gone, wait)
    }

    /// From this time of the shared clock until the turn of the worker at this place.
    fn turn(&self, clock_ms: i64, place: usize) -> Duration {
        let (step, round) = (super::millis(STEP), super::millis(self.round()));
        let mine = step * i64::try_from(place).unwrap_or(0);
        match (mine - clock_ms).rem_euclid(round) {
            // Just had, or so close that it would be had twice.
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

    fn peers(states: &[(Uuid, bool)], busy: bool) -> Vec<Peer> {
        states.iter().map(|(id, gone)| Peer { id: *id, gone: *gone, clock_ms: 0, up_ms: 3_600_000, busy }).collect()
    }

    #[test]
    fn a_worker_that_was_seen_is_gone_when_it_is_missing_twice_in_a_row() {
        let began = Instant::now();
        let mut turns = Turns::new(began, PATIENCE);
        let mut at = |ms: u32, gone: bool| turns.judge(ME, began + ms * MS, &peers(&[(ME, false), (OTHER, gone)], true));
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
        let mut turns = Turns::new(began, PATIENCE);
        let mut at = |ms: u32, states: &[(Uuid, bool)]| turns.judge(ME, began + ms * MS, &peers(states, true));
        assert!(at(0, &[(ME, false), (OTHER, true), (third, true)]).0.is_empty());
        let (gone, wait) = at(4900, &[(ME, false), (OTHER, true), (third, false)]);
        assert!(gone.is_empty() && wait == 100 * MS, "{wait:?}");
        assert_eq!(at(5000, &[(ME, false), (OTHER, true), (third, false)]).0, [OTHER]);
    }

    #[test]
    fn after_a_restart_of_the_server_they_have_time_whoever_looks() {
        let began = Instant::now();
        let mut turns = Turns::new(began, PATIENCE);
        let mut at = |ms: u32, up_ms: i64| {
            let state = [(ME, false), (OTHER, true)].map(|(id, gone)| Peer { id, gone, clock_ms: 0, up_ms, busy: true });
            turns.judge(ME, began + ms * MS, &state).0
        };
        assert!(at(0, 1_000).is_empty());
        assert!(at(13_900, 14_900).is_empty(), "a worker that came after the restart has not seen who was there before");
        assert_eq!(at(14_000, 15_000), [OTHER]);
    }

    #[test]
    fn everybody_has_a_turn_of_its_own() {
        for workers in 1..7 {
            let turns = Turns { workers, ..Turns::new(Instant::now(), PATIENCE) };
            for clock in (0..10_000).step_by(37) {
                let at: HashSet<i64> = (0..workers).map(|place| (clock + super::super::millis(turns.turn(clock, place))) / 200).collect();
                assert_eq!(at.len(), workers, "{workers} at {clock}");
                for place in 0..workers {
                    let wait = turns.turn(clock, place);
                    assert!(wait >= STEP / 5 && wait <= turns.round() + STEP / 5, "{wait:?}");
                }
            }
        }
    }

    #[test]
    fn who_is_alone_or_sees_nothing_running_hardly_looks() {
        let began = Instant::now();
        let mut turns = Turns::new(began, PATIENCE);
        assert_eq!(turns.judge(ME, began, &peers(&[(ME, false)], true)), (vec![], ALONE));
        assert!(turns.resting && turns.workers == 1);
        assert!(turns.judge(ME, began, &peers(&[(ME, false), (OTHER, false)], true)).1 <= 3 * STEP);
        assert!(!turns.resting && turns.workers == 2);
        assert_eq!(turns.judge(ME, began, &peers(&[(ME, false), (OTHER, false)], false)), (vec![], REST));
        assert!(turns.resting);
        assert_eq!(turns.judge(ME, began, &peers(&[(ME, false), (OTHER, true)], false)).1, CONFIRM, "a death is looked into all the same");
        assert!(!turns.resting);
    }
}
