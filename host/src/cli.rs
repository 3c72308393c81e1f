//! The command line: PgQueuer's verbs and options, and those that pgq-host adds.
//!
//! Data goes to stdout, status to stderr. Exit codes: 0 success, 1 failure, 2 usage error.

mod audit;
mod bench;
mod bulk;
mod cancel;
mod change;
mod completions;
mod dashboard;
mod database;
mod dev;
mod doctor;
mod environment;
mod examples;
mod failures;
mod filter;
mod help;
mod inspect;
mod job;
mod jobs;
mod listen;
mod logging;
mod logs;
mod man;
mod mcp;
mod output;
mod overview;
mod pause;
mod plugin;
mod plugin_sources;
mod probe;
mod prune;
mod queue;
mod requeue;
mod run;
mod schedules;
mod schema;
mod sealing;
mod sql;
mod sql_worker;
mod uninstall;
mod usage;
mod values;
mod verbosity;
mod web;
mod workbench;

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::version;
use database::DatabaseArgs;
use pgq_engine as wasm;
pub use usage::exit_code;
use verbosity::VerbosityArgs;

/// Run PostgreSQL background jobs as sandboxed WebAssembly components, compatible with PgQueuer.
#[derive(Debug, Parser)]
#[command(name = "pgq-host", version = version::BUILD, long_version = version::ALL.as_str(), arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    verbosity: VerbosityArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run jobs with the plugins of a folder.
    Run(run::RunArgs),
    /// Run jobs with a private PostgreSQL, for development: nothing to install or set up.
    Dev(dev::DevArgs),
    /// Ask a host on this machine whether it is alive or ready, for a container's health check.
    Probe(probe::ProbeArgs),
    /// Measure how fast jobs run on this machine, and at what cost.
    Bench(bench::BenchArgs),
    /// Enqueue a job.
    Queue(queue::QueueArgs),
    /// Show what is going on, and what is wrong: entrypoints, failures by cause, hosts, transactions.
    Overview(overview::OverviewArgs),
    /// Show everything about one job: its row, payload, runs, errors and output.
    Job(job::JobArgs),
    /// List jobs by entrypoint, status, age, error, header or plugin version.
    Jobs(jobs::JobsArgs),
    /// Show what runs printed, as far as it is kept.
    Logs(logs::LogsArgs),
    /// List jobs that failed for good and are held.
    Failed(inspect::FailedArgs),
    /// Show failed runs by their cause: since when, and with which version of a plugin it began.
    Failures(failures::FailuresArgs),
    /// Put held jobs back into the queue.
    Requeue(requeue::RequeueArgs),
    /// Cancel jobs: queued, running or held.
    Cancel(cancel::CancelArgs),
    /// Make jobs due now that wait for a delay or a back-off.
    RetryNow(change::RetryNowArgs),
    /// Change when jobs are due that wait.
    Reschedule(change::RescheduleArgs),
    /// Change payload or priority of jobs that wait or are held.
    Edit(change::EditArgs),
    /// Keys of payloads, and payloads sealed and opened by hand.
    Sealing(sealing::SealingArgs),
    /// Show who changed jobs by hand, or paused something.
    Audit(audit::AuditArgs),
    /// List running jobs whose worker has sent no heartbeat for a while.
    Stale(inspect::StaleArgs),
    /// List workers that hold jobs.
    Workers(inspect::JsonArgs),
    /// Show how many jobs wait per entrypoint, and for how long.
    Backlog(inspect::JsonArgs),
    /// Have all hosts leave jobs of an entrypoint, a plugin or all in the queue for now.
    Pause(pause::PauseArgs),
    /// Have hosts run again what was paused.
    Resume(pause::ResumeArgs),
    /// List what is paused.
    Pauses(pause::PausesArgs),
    /// List schedules, or remove some.
    Schedules(schedules::SchedulesArgs),
    /// Remove old rows of the log, of outputs, attempts and statistics, as [retention] says.
    Prune(prune::PruneArgs),
    /// Serve the pages and the API: look at the queue in a browser, and change what is in it.
    Web(web::WebArgs),
    /// Look at the queue in the terminal, live, and change what is in it by keys.
    Dashboard(dashboard::DashboardArgs),
    /// Let an assistant look at the queue: a server of the Model Context Protocol, read-only, on
    /// standard input and output.
    Mcp(mcp::McpArgs),
    /// Print the messages on the queue's notification channel.
    Listen(listen::ListenArgs),
    /// Create, build, inspect, try and list plugins. Needs no database.
    Plugin(plugin::PluginArgs),
    /// Create PgQueuer's tables and pgq-host's additions.
    Install(schema::InstallArgs),
    /// Check that the tables are as they should be, or that there are none.
    Verify(schema::VerifyArgs),
    /// Bring the tables up to date. Adopts tables that PgQueuer installed.
    Upgrade(schema::UpgradeArgs),
    /// Remove the tables with all jobs in them. Asks before it removes jobs, or tables that a host
    /// uses.
    Uninstall(uninstall::UninstallArgs),
    /// Check whether database, role, plugins and hosts are fit for `run`, and suggest a fix for
    /// each problem. Changes nothing.
    Doctor(doctor::DoctorArgs),
    /// Change which tables are written to PostgreSQL's write-ahead log.
    Durability(schema::DurabilityArgs),
    /// Tune autovacuum for the tables, or undo that.
    Autovac(schema::AutovacArgs),
    /// Print (or apply) the privileges that a worker's role needs, and no more.
    Grant(schema::GrantArgs),
    /// Compile the component on stdin. The host runs this itself.
    #[command(name = wasm::COMPILE_VERB, hide = true)]
    CompileComponent {
        max_instances: u32,
        max_memory: usize,
        #[arg(action = clap::ArgAction::Set)]
        pooled: bool,
        effort: wasm::Effort,
        /// Of processor time, in milliseconds.
        limit: u64,
    },
    /// `run` for the bench. Ends when the bench does.
    #[command(name = pgq_bench::WORKER_VERB, hide = true)]
    BenchWorker(run::RunArgs),
    /// Print the script with which a shell completes the command line. Needs no database.
    Completions(completions::CompletionsArgs),
    /// Print a manual page, or write those of all verbs. Needs no database.
    Man(man::ManArgs),
    /// Print SQL instead of running it. Needs no database.
    #[command(subcommand)]
    Sql(sql::SqlCommand),
}

impl Command {
    /// Whether it has the flags of a log, or the terminal for itself.
    fn has_its_own_log(&self) -> bool {
        match self {
            Command::Run(_)
            | Command::Dev(_)
            | Command::BenchWorker(_)
            | Command::Web(_)
            | Command::Plugin(_)
            | Command::Mcp(_) => true,
            Command::Dashboard(_) => std::io::stderr().is_terminal(),
            _ => false,
        }
    }

    /// The time limit of a verb that works on one session. Rewriting a table may take hours. The
    /// other verbs have their own limits, or none because they run until they are stopped.
    fn deadline(&self) -> Option<Duration> {
        const HOUR: Duration = Duration::from_secs(3600);
        match self {
            Command::Install(_) | Command::Upgrade(_) | Command::Uninstall(_) | Command::Durability(_) => {
                Some(HOUR * 12)
            }
            Command::Verify(_) | Command::Doctor(_) | Command::Autovac(_) | Command::Grant(_) => Some(HOUR / 6),
            _ => None,
        }
    }
}

impl Cli {
    /// The command line, with the examples of its help.
    pub fn whole() -> clap::Command {
        examples::with_examples(Cli::command())
    }

    /// Parse the arguments and the environment variables. Ends the process if they are invalid.
    pub fn read() -> Cli {
        let heeded = environment::unset_empty_variables(Cli::whole(), &environment::is_empty);
        let read = heeded.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
        read.unwrap_or_else(|error| {
            let mut command = Cli::whole();
            // Propagates the parents' arguments to the subcommands.
            command.build();
            let explained = environment::explain(&command, error, |name| std::env::var_os(name));
            help::end(command, explained)
        })
    }

    /// Run the command.
    ///
    /// # Errors
    ///
    /// Fails if the command does. [`exit_code`] tells usage errors from other failures.
    pub async fn run(self) -> anyhow::Result<()> {
        logging::begin(self.verbosity, self.command.has_its_own_log())?;
        let statement_timeout = self.database.statement_timeout;
        match self.command.deadline() {
            None => Box::pin(self.obey()).await,
            Some(default) => {
                let deadline = statement_timeout.unwrap_or(default);
                // On a silent network, the driver would wait for an answer forever.
                tokio::time::timeout(deadline, Box::pin(self.obey())).await.unwrap_or_else(|_| {
                    anyhow::bail!("the database did not answer within {deadline:?}; --statement-timeout raises that")
                })
            }
        }
    }

    async fn obey(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(args) => run::run(&self.database, args).await,
            Command::Dev(args) => dev::run(&self.database, args).await,
            Command::Probe(args) => probe::run(args).await,
            Command::Bench(args) => bench::run(&self.database, args).await,
            Command::BenchWorker(args) => bench::worker(&self.database, args).await,
            Command::Queue(args) => queue::run(&self.database, args).await,
            Command::Overview(args) => overview::run(&self.database, args).await,
            Command::Job(args) => job::run(&self.database, args).await,
            Command::Jobs(args) => jobs::run(&self.database, args).await,
            Command::Logs(args) => logs::run(&self.database, args).await,
            Command::Failed(args) => inspect::failed(&self.database, args).await,
            Command::Failures(args) => failures::run(&self.database, args).await,
            Command::Requeue(args) => requeue::run(&self.database, args).await,
            Command::Cancel(args) => cancel::run(&self.database, args).await,
            Command::RetryNow(args) => change::retry_now(&self.database, args).await,
            Command::Reschedule(args) => change::reschedule(&self.database, args).await,
            Command::Edit(args) => change::edit(&self.database, args).await,
            Command::Sealing(args) => sealing::run(&self.database, args).await,
            Command::Audit(args) => audit::run(&self.database, args).await,
            Command::Stale(args) => inspect::stale(&self.database, args).await,
            Command::Workers(args) => inspect::workers(&self.database, args).await,
            Command::Backlog(args) => inspect::backlog(&self.database, args).await,
            Command::Pause(args) => pause::pause(&self.database, args).await,
            Command::Resume(args) => pause::resume(&self.database, args).await,
            Command::Pauses(args) => pause::list(&self.database, args).await,
            Command::Schedules(args) => schedules::run(&self.database, args).await,
            Command::Prune(args) => prune::run(&self.database, args).await,
            Command::Dashboard(args) => dashboard::run(&self.database, args).await,
            Command::Completions(args) => completions::run(&args, &Cli::whole()),
            Command::Man(args) => man::run(&args, Cli::whole()),
            Command::Web(args) => web::run(&self.database, args).await,
            Command::Mcp(args) => mcp::run(&self.database, args).await,
            Command::Listen(args) => listen::run(&self.database, args).await,
            Command::Plugin(args) => plugin::run(&self.database, args).await,
            Command::Install(args) => schema::install(&self.database, args).await,
            Command::Verify(args) => schema::verify(&self.database, args).await,
            Command::Upgrade(args) => schema::upgrade(&self.database, args).await,
            Command::Doctor(args) => doctor::run(&self.database, args).await,
            Command::Uninstall(args) => uninstall::run(&self.database, args).await,
            Command::Durability(args) => schema::durability(&self.database, args).await,
            Command::Autovac(args) => schema::autovac(&self.database, args).await,
            Command::Grant(args) => schema::grant(&self.database, args).await,
            Command::CompileComponent { max_instances, max_memory, pooled, effort, limit } => wasm::compile_as_child(
                &wasm::EngineSettings {
                    max_instances,
                    max_memory,
                    max_guest_memory: max_memory,
                    compile_timeout: None,
                },
                pooled,
                effort,
                Duration::from_millis(limit),
            ),
            Command::Sql(command) => sql::run(&self.database, command),
        }
    }
}
