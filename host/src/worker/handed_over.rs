//! Jobs that the recorder claimed with the outcomes of those before them: started at once, whatever the claim loop waits for.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::executor::Executor;
use crate::recorder::NextJobs;

/// Start what comes, until `stop` and then until nothing can come any more. The executor releases what comes after it was closed.
pub async fn start_handed_over(executor: Executor, mut next: mpsc::Receiver<NextJobs>, stop: CancellationToken) {
    let start = |NextJobs { jobs, plugins, asked }| executor.start(jobs, &plugins, asked);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // A recorder that is gone is for others to notice.
            Some(jobs) = next.recv() => start(jobs),
        }
    }
    // A claim that is under way still brings what it took.
    next.close();
    while let Some(jobs) = next.recv().await {
        start(jobs);
    }
}
