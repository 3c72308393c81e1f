//! Any order in which guests take memory, pass bytes to the host, and go: no account is overdrawn, and nothing is left behind when all are gone.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use wasmtime::ResourceLimiter as _;

#[path = "../../crates/pgq-engine/src/limits.rs"]
#[allow(dead_code, reason = "not all of an account is asked for here")]
mod limits;
#[path = "../../crates/pgq-engine/src/room.rs"]
#[allow(dead_code, reason = "as above")]
mod room;

use limits::Limits;
use room::Room;

const ROOM: usize = 64 << 20;
const LIMIT: usize = 24 << 20;
/// What the host may hold beyond the limit.
const HOST_SHARE: usize = 1 << 20;

#[derive(Debug, Arbitrary)]
enum Step {
    Enter { bytes: u32 },
    Leave { guest: u8 },
    Grow { guest: u8, bytes: u32 },
    Pass { guest: u8, bytes: u32 },
    PassWhatIsLeft { guest: u8, bytes: u32 },
    Settle { guest: u8, more: u32 },
    Count { guest: u8, held: u32 },
    Rest { guest: u8 },
}

struct Guest {
    limits: Limits,
    memory: usize,
}

fuzz_target!(|steps: Vec<Step>| {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let room = Room::new(ROOM);
    let mut guests: Vec<Guest> = Vec::new();
    for step in steps {
        let guest = match &step {
            Step::Enter { bytes } => {
                let entered = runtime
                    .block_on(async { futures_util::FutureExt::now_or_never(room.enter(*bytes as usize, || ())) });
                guests.extend(entered.map(|share| Guest { limits: Limits::new(LIMIT, share), memory: 0 }));
                continue;
            }
            Step::Leave { guest }
            | Step::Grow { guest, .. }
            | Step::Pass { guest, .. }
            | Step::PassWhatIsLeft { guest, .. } => *guest,
            Step::Settle { guest, .. } | Step::Count { guest, .. } | Step::Rest { guest } => *guest,
        };
        if guests.is_empty() {
            continue;
        }
        let at = usize::from(guest) % guests.len();
        let Guest { limits, memory } = &mut guests[at];
        match step {
            Step::Leave { .. } => drop(guests.swap_remove(at)),
            Step::Grow { bytes, .. } => {
                let desired = memory.saturating_add(bytes as usize);
                if limits.memory_growing(*memory, desired, None).unwrap_or(false) {
                    *memory = desired;
                }
                assert_eq!(limits.memory(), *memory);
            }
            Step::Pass { bytes, .. } => {
                let left = limits.left();
                assert!(!limits.pass(bytes as usize) || bytes as usize <= left);
            }
            Step::PassWhatIsLeft { bytes, .. } => {
                let left = limits.left();
                if let Ok(passed) = limits.pass_what_is_left(bytes as usize) {
                    assert!(passed <= left && passed <= bytes as usize);
                }
            }
            Step::Settle { more, .. } => limits.settle(more as usize % (1 << 20)),
            // What is held is what was passed: never more than there was left.
            Step::Count { held, .. } => {
                let _ = limits.hold(held as usize % (LIMIT + HOST_SHARE + 1));
            }
            Step::Rest { .. } => limits.rest(),
            Step::Enter { .. } => {}
        }
        for guest in &guests {
            assert!(guest.memory <= LIMIT, "more than its limit");
            assert!(guest.limits.left() <= LIMIT + HOST_SHARE);
        }
        assert!(guests.iter().map(|guest| guest.memory).sum::<usize>() <= ROOM, "more than there is for all");
    }
    drop(guests);
    let all = runtime.block_on(async { futures_util::FutureExt::now_or_never(room.enter(ROOM, || ())) });
    assert!(all.is_some(), "what nobody has any more is still taken");
});
