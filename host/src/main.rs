//! Parses, runs, and turns the result into an exit code: 0 fine, 1 failed, 2 usage.

use std::process::ExitCode;
use std::time::Duration;

use pgq_host::{allocator, cli, logging};
use pgq_queue::told;

fn main() -> ExitCode {
    allocator::give_memory_back();
    let cli = cli::Cli::read();
    // The control runtime: it claims, beats and writes, and never runs a guest. Two threads do for
    // thousands of jobs a second.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("pgq-control").enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let result = runtime.block_on(cli.run());
        // What cannot be called off (a file system or a look-up of a name that hangs) must not keep
        // the process.
        runtime.shutdown_timeout(Duration::from_millis(500));
        result
    });
    match result {
        Ok(()) => {
            logging::flush();
            ExitCode::SUCCESS
        }
        Err(error) => {
            report(&error);
            ExitCode::from(cli::exit_code(&error))
        }
    }
}

fn report(error: &anyhow::Error) {
    logging::fatal(&told::told(error.as_ref()));
}
