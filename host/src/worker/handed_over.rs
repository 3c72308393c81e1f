//! Starting the jobs that the recorder claimed with the outcomes of those before them. The claim
//! loop may be waiting, so this is a task of its own.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::executor::Executor;
use crate::recorder::NextJobs;

/// Start jobs as they come, until `stop` and then until none can come any more. The executor
/// releases jobs that come after it was closed.
pub async fn start_handed_over(executor: Executor, mut next: mpsc::Receiver<NextJobs>, stop: CancellationToken) {
    let start = |NextJobs { jobs, plugins, asked }| executor.start(jobs, &plugins, asked);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // The recorder is gone, which `app` notices.
            Some(jobs) = next.recv() => start(jobs),
        }
    }
    // A claim that is under way still brings its jobs.
    next.close();
    while let Some(jobs) = next.recv().await {
        start(jobs);
    }
}
