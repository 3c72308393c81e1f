//! A short run of faults under load: the driver of `make chaos` (`tests/chaos`), whose oracle
//! observes from outside the queue. `CHAOS_SEED` repeats a run.

use std::process::Stdio;

use pgq_host_tests::{guest, host_binary, python};
use tokio::process::Command;

#[tokio::test]
async fn jobs_survive_faults_of_hosts_network_and_database() {
    let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/chaos/chaos.py");
    let mut command = Command::new(python());
    command
        .arg(driver)
        .args(["mixed", "--seconds", "30", "--lease", "10", "--binary"])
        .arg(host_binary())
        .arg("--guests")
        .arg(guest("chaos").parent().expect("in a folder"));
    let ran = command.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("the driver starts");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    // The seed and the figures, for readers of the log of a run that passed.
    eprintln!("{said}");
}
