//! With all rules, no failure is possible. Without one of them, the failure that it prevents is.

#![allow(clippy::print_stderr, reason = "how much was searched is worth knowing")]

use std::time::Instant;

use pgq_host_model::{
    Failure, Faults, Fence, Found, Losses, Protocol, Relock, Rules, Size, Unfinished, search, search_for, unfinished,
};

const SMALL: Size = Size {
    hosts: 2,
    python: false,
    jobs: 2,
    faults: 2,
    of: Faults::ALL,
    cancels: 0,
    stops: 0,
    limited: false,
    fail: false,
    killer: false,
    respawn: false,
    locks: false,
    wakes: true,
};
const KILLER: Size =
    Size { killer: true, respawn: true, hosts: 1, faults: 1, of: Faults { kill: true, ..Faults::NONE }, ..SMALL };
const ONE_JOB: Size = Size { jobs: 1, ..SMALL };

fn look(what: &str, rules: Rules, size: Size) -> Found {
    tell(what, || search(Protocol { rules, size }))
}

fn tell(what: &str, search: impl FnOnce() -> Found) -> Found {
    let began = Instant::now();
    let found = search();
    eprintln!("{what}: {} states, {} steps deep, {:.1} s", found.states, found.depth, began.elapsed().as_secs_f64());
    found
}

#[track_caller]
fn holds(what: &str, size: Size) {
    holds_with(what, Rules::ALL, size);
}

#[track_caller]
fn holds_with(what: &str, rules: Rules, size: Size) {
    let found = look(what, rules, size);
    assert!(found.failures.is_empty(), "{}: {:?} after{}", what, found.failures[0].0, found.failures[0].1);
    assert!(found.ends);
}

#[track_caller]
fn fails(what: &str, rules: Rules, size: Size, with: Failure) {
    let found = tell(what, || search_for(Protocol { rules, size }, with));
    assert!(found.has(with), "{what} would do no harm: {found:?}");
    for (failure, history) in found.failures.iter().filter(|(failure, _)| *failure == with) {
        eprintln!("  {failure:?} after{history}");
    }
}

/// One job that hosts lock.
const LOCKED: Size = Size { locks: true, ..ONE_JOB };
/// A job that kills whoever runs it, locked at first.
const LOCKED_KILLER: Size = Size { locks: true, jobs: 1, faults: 0, ..KILLER };
const SEVERED: Faults = Faults { sever: true, ..Faults::NONE };
/// Hosts go on locking after a death. Only the killer depends on that rule, and without it there
/// are more histories with locks.
const HEEDLESS: Rules = Rules { deaths_are_heeded: false, ..Rules::ALL };

/// A frozen host stays frozen.
const NEVER_WOKEN: Size = Size { wakes: false, faults: 1, of: Faults { freeze: true, ..Faults::NONE }, ..LOCKED };

/// The kinds of faults that are combined, if all of them at once would mean too many histories.
const DEATHS: Faults = Faults { kill: true, freeze: true, ..Faults::NONE };

#[test]
fn two_hosts_and_one_job_through_three_faults() {
    holds("one job, any two faults", ONE_JOB);
    let of = Faults { kill: true, away: true, freeze: true, ..Faults::NONE };
    holds("one job, three faults", Size { faults: 3, of, ..ONE_JOB });
}

#[test]
fn two_hosts_and_two_jobs() {
    holds("two jobs, any but a slow statement", Size { faults: 1, of: Faults { slow: false, ..Faults::ALL }, ..SMALL });
    holds("two jobs, two deaths", Size { of: Faults { kill: true, ..Faults::NONE }, ..SMALL });
}

#[test]
fn two_hosts_and_a_python_worker() {
    holds("Python, any fault", Size { python: true, faults: 1, ..ONE_JOB });
    holds("Python, away twice", Size { python: true, of: Faults { away: true, ..Faults::NONE }, ..ONE_JOB });
}

#[test]
fn cancelled_and_stopped() {
    holds("cancelled and stopped", Size { cancels: 1, stops: 1, faults: 1, fail: true, ..ONE_JOB });
}

#[test]
fn a_limit_of_one() {
    holds("a limit, deaths", Size { limited: true, of: DEATHS, ..SMALL });
    holds("a limit, any fault", Size { limited: true, faults: 1, ..SMALL });
    holds(
        "a limit while one stops",
        Size { limited: true, stops: 1, faults: 1, of: Faults { kill: true, ..Faults::NONE }, ..SMALL },
    );
}

#[test]
fn a_job_that_kills_its_hosts() {
    holds("a killer", KILLER);
}

#[test]
fn hosts_that_are_killed_again_and_again() {
    let kill = Faults { kill: true, ..Faults::NONE };
    holds("a crash loop", Size { respawn: true, hosts: 1, faults: 3, of: kill, ..SMALL });
}

#[test]
fn locked_claims_and_two_faults() {
    holds_with("locked, two cuts", HEEDLESS, Size { of: Faults { cut: true, ..SEVERED }, ..LOCKED });
    let of = Faults { kill: true, freeze: true, away: true, ..SEVERED };
    holds_with("locked, two deaths or outages", HEEDLESS, Size { of, ..LOCKED });
    // The host no longer waits for a commit, which is done later.
    let of = Faults { stall: true, ..SEVERED };
    holds_with("locked, two stalls", HEEDLESS, Size { of, fail: true, ..LOCKED });
}

#[test]
fn locked_claims_and_one_fault() {
    holds("locked, any fault", Size { faults: 1, fail: true, ..LOCKED });
    holds_with("locked, with Python", HEEDLESS, Size { faults: 1, python: true, ..LOCKED });
    holds_with("locked, cancelled and stopped", HEEDLESS, Size { faults: 1, cancels: 1, stops: 1, ..LOCKED });
}

#[test]
fn batches_of_two_locked_jobs() {
    let two = Size { jobs: 2, ..LOCKED };
    holds_with("two hosts, two locked jobs", HEEDLESS, Size { faults: 1, of: SEVERED, ..two });
    holds_with("one host, two locked jobs", HEEDLESS, Size { faults: 1, hosts: 1, ..two });
    holds_with("one host, two cut transactions", HEEDLESS, Size { of: SEVERED, hosts: 1, ..two });
}

// It is found, and held, although its first run leaves no trace. The model counts how many hosts it
// ends.
#[test]
fn a_locked_job_that_kills_its_hosts() {
    holds("a locked killer, two jobs", Size { jobs: 2, ..LOCKED_KILLER });
    holds("a locked killer, two hosts", Size { hosts: 2, ..LOCKED_KILLER });
    let of = Faults { kill: true, ..SEVERED };
    holds("a locked killer, and a fault", Size { faults: 1, of, ..LOCKED_KILLER });
}

fn search_for_an_end(what: &str, rules: Rules, size: Size) -> Option<Unfinished> {
    let began = Instant::now();
    let (states, stuck) = unfinished(&Protocol { rules, size });
    eprintln!("{what}: {states} states, {:.1} s", began.elapsed().as_secs_f64());
    stuck
}

#[test]
fn every_job_ends() {
    let ends = |what: &str, size: Size| {
        let stuck = search_for_an_end(what, Rules::ALL, size);
        assert!(stuck.is_none(), "{what}: {stuck:#?}");
    };
    ends("one job ends", Size { stops: 1, faults: 1, ..ONE_JOB });
    ends("two jobs end", Size { faults: 1, of: Faults { kill: true, cut: true, ..Faults::NONE }, ..SMALL });
    ends("with Python", Size { python: true, faults: 1, ..ONE_JOB });
    let kill = Faults { kill: true, ..Faults::NONE };
    ends("in a crash loop", Size { respawn: true, hosts: 1, faults: 2, of: kill, ..SMALL });
    ends("a locked job ends", Size { faults: 1, ..LOCKED });
    let of = Faults { kill: true, stall: true, ..SEVERED };
    ends("a locked job ends after two faults", Size { of, ..LOCKED });
    ends("a locked killer ends", LOCKED_KILLER);
    ends("locked by a host that stands still", NEVER_WOKEN);
}

// Issue F, 1.3: the first worker to return after the database was down takes the jobs of live
// workers.
#[test]
fn leases_judged_right_after_the_database_was_away_are_taken_from_the_living() {
    let rules = Rules { judge_only_after_good_access: false, ..Rules::ALL };
    fails("1.3", rules, ONE_JOB, Failure::TakenFromTheLiving);
}

#[test]
fn a_judge_that_takes_the_time_before_a_silence_for_good_access_takes_from_the_living() {
    let rules = Rules { silence_is_no_access: false, ..Rules::ALL };
    fails("silence taken for access", rules, ONE_JOB, Failure::TakenFromTheLiving);
}

#[test]
fn a_rescue_that_was_asked_for_before_a_silence_takes_from_the_living() {
    let rules = Rules { rescue_is_dated: false, ..Rules::ALL };
    fails("a rescue without a date", rules, Size { faults: 3, ..ONE_JOB }, Failure::TakenFromTheLiving);
}

// Issue F, 1.4: a claim that waits, and a worker whose lease starts with the answer.
#[test]
fn a_lease_that_counts_from_the_answer_is_taken_from_the_living() {
    let rules = Rules { lease_from_asking: false, ..Rules::ALL };
    fails("1.4", rules, ONE_JOB, Failure::TakenFromTheLiving);
}

// The other rules suffice: the worker finds its lease expired and starts nothing.
#[test]
fn a_claim_that_takes_as_long_as_a_lease_does_no_harm() {
    let found = look("no deadline", Rules { claims_time_out: false, ..Rules::ALL }, ONE_JOB);
    assert!(found.failures.is_empty() && found.ends, "{found:?}");
}

// Issue F, 1.4: a host that was resumed.
#[test]
fn a_run_that_begins_on_an_expired_lease_is_anothers_by_then() {
    let rules = Rules { nothing_begins_on_an_expired_lease: false, ..Rules::ALL };
    fails("1.4, woken", rules, ONE_JOB, Failure::BegunOnALostClaim);
}

#[test]
fn a_fence_that_is_left_out_lets_a_worker_write_for_another() {
    fails("no fence", Rules { fence: Fence::Absent, ..Rules::ALL }, ONE_JOB, Failure::Unfenced);
    // The same worker under an earlier claim: it put the job back and claimed it again, and the
    // answer to the first write was lost.
    let rules = Rules { fence: Fence::Worker, ..Rules::ALL };
    fails("a fence of the worker alone", rules, Size { fail: true, ..ONE_JOB }, Failure::Unfenced);
}

// Issue F, 1.1.
#[test]
fn a_loss_that_is_charged_to_all_holds_what_never_ran() {
    let rules = Rules { losses: Losses::ChargeAll, ..Rules::ALL };
    let kill = Faults { kill: true, ..Faults::NONE };
    fails("1.1", rules, Size { respawn: true, hosts: 1, of: kill, ..SMALL }, Failure::HeldWithoutARun);
}

// The run of the job that ran alone has ended, and the next run kills the host before that is
// recorded.
#[test]
fn a_job_that_ends_alone_is_charged_for_the_next_one_if_that_begins_before_the_outcome_is_recorded() {
    let rules = Rules { alone_until_recorded: false, ..Rules::ALL };
    fails("not recorded", rules, KILLER, Failure::HeldForAnother);
}

#[test]
fn presence_that_is_not_asked_again_or_judged_too_soon_is_taken_from_the_living() {
    let rules = Rules { patience_after_a_restart: false, ..Rules::ALL };
    fails("no patience", rules, ONE_JOB, Failure::TakenFromTheLiving);
    let rules = Rules { presence_is_asked_again: false, ..Rules::ALL };
    fails("an old look", rules, Size { faults: 3, ..ONE_JOB }, Failure::TakenFromTheLiving);
}

#[test]
fn a_host_that_records_without_its_lock_records_what_may_be_anothers() {
    let fails_once = Size { faults: 1, of: SEVERED, fail: true, ..LOCKED };
    let rules = |relock: Relock| Rules { relock, ..HEEDLESS };
    fails("no relock", rules(Relock::Absent), fails_once, Failure::NotLocked);
    fails("no relock, twice", rules(Relock::Absent), fails_once, Failure::RecordedTwice);
    fails("a look without a lock", rules(Relock::Looks), fails_once, Failure::RecordedTwice);
    // The host no longer waits for a commit, which is under way all the same.
    let stalls_once = Size { of: Faults { stall: true, ..Faults::NONE }, ..fails_once };
    fails("a look past a commit", rules(Relock::Looks), stalls_once, Failure::RecordedTwice);
    // Another host has had the job meanwhile, and put it back.
    fails("a lock on a row that has changed", rules(Relock::Changed), fails_once, Failure::RecordedTwice);
}

// The attempts alone are no fence: a worker that releases a job does not count one.
#[test]
fn a_row_that_was_put_back_without_an_outcome_is_not_as_it_was_either() {
    let released = Size { faults: 1, of: SEVERED, stops: 1, ..LOCKED };
    fails("released meanwhile", Rules { relock: Relock::Attempts, ..HEEDLESS }, released, Failure::Unfenced);
}

// The mark was committed, its answer was lost, and its lease is nearly over.
#[test]
fn a_mark_that_is_taken_for_a_new_lease_is_taken_from_the_living() {
    let rules = Rules { what_is_not_relocked_is_doubted: false, ..HEEDLESS };
    let of = Faults { cut: true, ..SEVERED };
    fails("not doubted", rules, Size { faults: 1, of, ..LOCKED }, Failure::TakenFromTheLiving);
    fails("not doubted, begun", rules, Size { of, ..LOCKED }, Failure::BegunOnALostClaim);
}

// It only runs jobs more often: a host takes them from itself.
#[test]
fn a_claim_while_rows_are_locked_again_does_no_harm() {
    let rules = Rules { claims_wait_for_relocking: false, ..HEEDLESS };
    holds_with("claims do not wait", rules, Size { of: SEVERED, fail: true, ..LOCKED });
}

#[test]
fn a_host_that_stands_still_would_keep_its_rows_for_ever() {
    let rules = Rules { idle_transactions_end: false, ..Rules::ALL };
    let stuck = search_for_an_end("idle for ever", rules, NEVER_WOKEN).expect("a row that nobody gets");
    eprintln!("  {:?}", stuck.history);
}

#[test]
fn a_killer_that_leaves_no_trace_ends_host_after_host() {
    fails("deaths are not heeded", HEEDLESS, LOCKED_KILLER, Failure::KillerAtLarge);
    let rules = Rules { starts_look_for_deaths: false, ..Rules::ALL };
    fails("no look at the start", rules, LOCKED_KILLER, Failure::KillerAtLarge);
    // The other host forgets whoever died.
    let rules = Rules { deaths_are_noted: false, ..Rules::ALL };
    fails("deaths are not noted", rules, Size { hosts: 2, ..LOCKED_KILLER }, Failure::KillerAtLarge);
}
