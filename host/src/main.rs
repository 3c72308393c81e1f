//! Parses the arguments, runs the command, and turns its result into an exit code: 0 success, 1
//! failure, 2 usage error.

use std::process::ExitCode;
use std::time::Duration;

use pgq_host::{allocator, cli, logging};
use pgq_queue::told;

fn main() -> ExitCode {
    allocator::give_memory_back();
    let cli = cli::Cli::read();
    // The control runtime claims jobs, sends heartbeats and writes outcomes. It never runs a guest.
    // Two threads suffice for thousands of jobs a second.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("pgq-control").enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let result = runtime.block_on(cli.run());
        // What cannot be cancelled (a file system or a DNS lookup that hangs) must not keep the
        // process alive.
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
