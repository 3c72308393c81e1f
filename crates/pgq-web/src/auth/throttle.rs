//! How often a login may fail, by address and by name. Both tables have a bound.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures at once from an address, and the time after which one is forgotten.
const ADDRESS: (u32, Duration) = (10, Duration::from_secs(6));
/// The same for a name. More, so that nobody is kept out easily by others who try their name.
const NAME: (u32, Duration) = (30, Duration::from_secs(2));
/// Entries of each table.
const MAX_ENTRIES: usize = 4_096;
/// Pairs of a name and an address that are remembered.
const MAX_KNOWN: usize = 1_024;

/// Counts each try before it is known how it ends, so that many at once are not more than few.
#[derive(Debug)]
pub(super) struct Throttle {
    addresses: Mutex<Table<IpAddr>>,
    names: Mutex<Table<[u8; 32]>>,
    /// Who has logged in from where. Others who try a name do not keep its owner out of there.
    known: Mutex<VecDeque<([u8; 32], IpAddr)>>,
}

/// A try that was counted.
#[derive(Debug)]
pub(super) struct Try {
    address: IpAddr,
    name: [u8; 32],
}

#[derive(Debug)]
struct Table<K> {
    most: u32,
    forgotten_in: Duration,
    entries: HashMap<K, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    failures: f64,
    at: Instant,
}

impl Default for Throttle {
    fn default() -> Throttle {
        let (addresses, names) = (Mutex::new(Table::new(ADDRESS)), Mutex::new(Table::new(NAME)));
        Throttle { addresses, names, known: Mutex::default() }
    }
}

impl Throttle {
    /// Count a try of this address for the name of this digest, or say how long to wait for the
    /// next.
    pub(super) fn enter(&self, address: IpAddr, name: [u8; 32]) -> Result<Try, Duration> {
        self.enter_at(address, name, Instant::now())
    }

    fn enter_at(&self, address: IpAddr, name: [u8; 32], now: Instant) -> Result<Try, Duration> {
        let address = neighbourhood(address);
        lock(&self.addresses).enter(address, now)?;
        let is_known = lock(&self.known).contains(&(name, address));
        if let Err(wait) = lock(&self.names).enter(name, now)
            && !is_known
        {
            lock(&self.addresses).forget(&address);
            return Err(wait);
        }
        Ok(Try { address, name })
    }

    /// It succeeded, and so may the next from there.
    pub(super) fn succeeded(&self, counted: &Try) {
        self.forget(counted);
        let pair = (counted.name, counted.address);
        let mut known = lock(&self.known);
        known.retain(|other| *other != pair);
        known.push_back(pair);
        if known.len() > MAX_KNOWN {
            known.pop_front();
        }
    }

    /// It was not made: it does not count.
    pub(super) fn forget(&self, counted: &Try) {
        lock(&self.addresses).forget(&counted.address);
        lock(&self.names).forget(&counted.name);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever has one IPv6 address has the 2^64 beside it.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}

impl<K: Hash + Eq + Copy> Table<K> {
    fn new((most, forgotten_in): (u32, Duration)) -> Table<K> {
        Table { most, forgotten_in, entries: HashMap::new() }
    }

    fn enter(&mut self, key: K, now: Instant) -> Result<(), Duration> {
        if self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        let left = self.left(&key, now);
        if left + 1.0 > f64::from(self.most) {
            return Err(self.forgotten_in.mul_f64(left + 1.0 - f64::from(self.most)));
        }
        self.entries.insert(key, Entry { failures: left + 1.0, at: now });
        Ok(())
    }

    fn forget(&mut self, key: &K) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.failures = (entry.failures - 1.0).max(0.0);
        }
    }

    /// What is left of its failures by now.
    fn left(&self, key: &K, now: Instant) -> f64 {
        self.entries.get(key).map_or(0.0, |entry| self.worn(*entry, now))
    }

    fn worn(&self, entry: Entry, now: Instant) -> f64 {
        let forgotten = now.saturating_duration_since(entry.at).as_secs_f64() / self.forgotten_in.as_secs_f64();
        (entry.failures - forgotten).max(0.0)
    }

    /// Forget what is over, and otherwise the one with the fewest failures.
    fn make_room(&mut self, now: Instant) {
        let (most, forgotten_in) = (self.most, self.forgotten_in);
        let judge = Table::<K> { most, forgotten_in, entries: HashMap::new() };
        self.entries.retain(|_, entry| judge.worn(*entry, now) > 0.0);
        if self.entries.len() >= MAX_ENTRIES {
            let least = self.entries.iter().min_by(|one, other| one.1.failures.total_cmp(&other.1.failures));
            if let Some(key) = least.map(|(key, _)| *key) {
                self.entries.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    fn name(number: u32) -> [u8; 32] {
        let mut name = [0; 32];
        name[..4].copy_from_slice(&number.to_be_bytes());
        name
    }

    #[test]
    fn an_address_and_a_name_have_their_tries_and_get_them_back_with_time() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..ADDRESS.0 {
            throttle.enter_at(address(1), name(number), now).expect("one of the first");
        }
        let wait = throttle.enter_at(address(1), name(99), now).expect_err("too many");
        assert_eq!(wait, ADDRESS.1);
        throttle.enter_at(address(2), name(99), now).expect("another address");
        let now = now + wait;
        throttle.enter_at(address(1), name(99), now).expect("one is forgotten");
        assert!(throttle.enter_at(address(1), name(99), now).is_err());
        for number in 0..NAME.0 {
            throttle.enter_at(address(1000 + number), name(7777), now).expect("one of the first");
        }
        assert_eq!(
            throttle.enter_at(address(1), name(7777), now).expect_err("too many").as_secs(),
            6,
            "by its address first"
        );
        assert!(throttle.enter_at(address(5000), name(7777), now).is_err(), "from any address");
        throttle.enter_at(address(5000), name(1), now).expect("that was not counted for its address");
    }

    #[test]
    fn whoever_succeeds_is_not_counted() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..100 {
            let counted = throttle.enter_at(address(1), name(1), now).expect("free");
            throttle.succeeded(&counted);
        }
    }

    #[test]
    fn whoever_has_logged_in_from_somewhere_is_not_kept_out_of_there_by_others() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        throttle.succeeded(&throttle.enter_at(address(1), name(1), now).expect("free"));
        for number in 0..NAME.0 {
            throttle.enter_at(address(1000 + number), name(1), now).expect("one of the first");
        }
        assert!(throttle.enter_at(address(2), name(1), now).is_err());
        for _ in 0..ADDRESS.0 {
            throttle.enter_at(address(1), name(1), now).expect("known from there");
        }
        assert!(throttle.enter_at(address(1), name(1), now).is_err(), "who guesses there is slowed down as well");
        for number in 0..2 * MAX_KNOWN as u32 {
            throttle.succeeded(&throttle.enter_at(address(9_000 + number), name(9_000 + number), now).expect("free"));
        }
        assert_eq!(lock(&throttle.known).len(), MAX_KNOWN);
    }

    #[test]
    fn the_tables_have_a_bound_and_the_worst_stay() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..ADDRESS.0 {
            throttle.enter_at(address(1), name(1), now).expect("one of the first");
        }
        for number in 0..3 * MAX_ENTRIES as u32 {
            throttle.enter_at(address(1_000 + number), name(1_000 + number), now).expect("one of the first");
        }
        assert!(lock(&throttle.addresses).entries.len() <= MAX_ENTRIES);
        assert!(lock(&throttle.names).entries.len() <= MAX_ENTRIES);
        assert!(throttle.enter_at(address(1), name(2), now).is_err(), "a flood of others makes it forget nobody");
    }

    #[test]
    fn the_addresses_of_one_network_are_one() {
        let parse = |text: &str| neighbourhood(text.parse().expect("an address"));
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:1"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:1.2.3.4"), parse("1.2.3.4"));
    }
}
