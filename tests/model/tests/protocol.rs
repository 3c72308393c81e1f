//! With all rules, no failure is possible. Without one of them, the failure that it prevents is.

#![allow(clippy::print_stderr, reason = "how much was searched is worth knowing")]

use std::time::Instant;

use pgq_host_model::{Failure, Faults, Fence, Found, Losses, Protocol, Relock, Rules, Size, search, unfinished};

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
    let began = Instant::now();
    let found = search(Protocol { rules, size });
    eprintln!("{what}: {} states, {} steps deep, {:.1} s", found.states, found.depth, began.elapsed().as_secs_f64());
    found
}

#[track_caller]
fn holds(what: &str, size: Size) {
    let found = look(what, Rules::ALL, size);
    assert!(found.failures.is_empty(), "{}: {:?} after{}", what, found.failures[0].0, found.failures[0].1);
    assert!(found.ends);
}

#[track_caller]
fn fails(what: &str, rules: Rules, size: Size, with: Failure) {
    let found = look(what, rules, size);
    assert!(found.has(with), "{what} would do no harm: {found:?}");
    eprintln!("  {:?} after{}", found.failures[0].0, found.failures[0].1);
}

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
fn every_job_ends() {
    let ends = |what: &str, size: Size| {
        let began = Instant::now();
        let (states, stuck) = unfinished(&Protocol { rules: Rules::ALL, size });
        eprintln!("{what}: {states} states, {:.1} s", began.elapsed().as_secs_f64());
        assert!(stuck.is_none(), "{what}: {stuck:#?}");
    };
    ends("one job ends", Size { stops: 1, faults: 1, ..ONE_JOB });
    ends("two jobs end", Size { faults: 1, of: Faults { kill: true, cut: true, ..Faults::NONE }, ..SMALL });
    ends("with Python", Size { python: true, faults: 1, ..ONE_JOB });
    let kill = Faults { kill: true, ..Faults::NONE };
    ends("in a crash loop", Size { respawn: true, hosts: 1, faults: 2, of: kill, ..SMALL });
}

// A host that marks after a death has fewer histories with locks. Nothing but the killer depends on
// that rule.
const LOCKED: Size = Size { locks: true, ..ONE_JOB };
const HEEDLESS: Rules = Rules { deaths_are_heeded: false, ..Rules::ALL };

#[test]
fn locked_claims() {
    for (what, rules, size) in [
        ("A", Rules::ALL, Size { faults: 1, fail: true, ..LOCKED }),
        ("B", HEEDLESS, Size { faults: 1, fail: true, ..LOCKED }),
        ("C", HEEDLESS, Size { faults: 2, of: Faults { slow: false, ..Faults::ALL }, ..LOCKED }),
        ("D", HEEDLESS, Size { faults: 1, of: Faults { kill: true, ..Faults::NONE }, jobs: 2, ..LOCKED }),
        ("E", HEEDLESS, Size { faults: 1, of: Faults { cut: true, ..Faults::NONE }, jobs: 2, ..LOCKED }),
        ("F", HEEDLESS, Size { faults: 1, python: true, ..LOCKED }),
        ("G", HEEDLESS, Size { faults: 1, stops: 1, cancels: 1, ..LOCKED }),
        ("K", Rules::ALL, Size { locks: true, ..KILLER }),
    ] {
        let found = look(what, rules, size);
        for f in &found.failures {
            eprintln!("  {:?} after{}", f.0, f.1);
        }
    }
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
