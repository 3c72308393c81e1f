//! `web`: the pages and the API alone, as PgQueuer has them, without a worker.

mod health;

use std::io::{IsTerminal as _, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::net::{TcpListener, lookup_host};
use tokio_util::sync::CancellationToken;

use super::database::DatabaseArgs;
use super::logging::LoggingArgs;
use super::output;
use super::usage::{OrUsage as _, usage};
use super::values;
use crate::access::AccessSettings;
use crate::config::Config;
use crate::signal::Signals;
use health::Health;
use pgq_engine::descriptors;
use pgq_queue::{Operator, pool_size};
use pgq_web::Site;
use pgq_web::auth::{App, Network, hash_password, new_token};
use pgq_web::server::{self, Front};

const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_PORT: u16 = 8080;
/// No password is longer.
const MAX_PASSWORD: u64 = 4_096;

#[derive(Debug, Args)]
pub(super) struct WebArgs {
    #[arg(long, env = "PGQUEUER_WEB_HOST", help = format!("The address or name to listen on; any but loopback's needs a login [default: {DEFAULT_HOST}]"))]
    host: Option<String>,
    #[arg(long, env = "PGQUEUER_WEB_PORT", value_parser = values::port, help = format!("The port to listen on [default: {DEFAULT_PORT}]"))]
    port: Option<u16>,
    /// The name of a user who may do everything; needs a password
    #[arg(long, env = "PGQUEUER_WEB_USER", value_name = "NAME")]
    user: Option<String>,
    /// Their password. A variable or --password-file keep it out of the list of processes
    #[arg(long, env = "PGQUEUER_WEB_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// A file with their password in its first line
    #[arg(long, env = "PGQ_HOST_WEB_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A file with the tokens of programs, one a line: NAME ROLE TOKEN
    #[arg(long, env = "PGQ_HOST_WEB_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The path below which a reverse proxy serves the pages, like /queue
    #[arg(long, env = "PGQ_HOST_WEB_BASE_PATH", value_name = "PATH")]
    base_path: Option<String>,
    /// Addresses of reverse proxies, whose X-Forwarded-For, -Proto and -Host are believed
    #[arg(long, env = "PGQ_HOST_WEB_TRUSTED_PROXIES", value_delimiter = ',', value_name = "NETWORK")]
    trusted_proxies: Vec<Network>,
    /// Names that the pages are reached by; requests for others are refused
    #[arg(long, env = "PGQ_HOST_WEB_HOSTS", value_delimiter = ',', value_name = "NAME")]
    hosts: Vec<String>,
    /// The file with [web] [default: pgq-host.toml, if it exists]
    #[arg(long, env = "PGQ_HOST_CONFIG")]
    config: Option<PathBuf>,
    /// Read a password from standard input, print its hash for [[web.users]], and end
    #[arg(long)]
    hash_password: bool,
    /// Print a new token for a file of tokens, and end
    #[arg(long)]
    new_token: bool,
    #[command(flatten)]
    logging: LoggingArgs,
}

pub(super) async fn run(database: &DatabaseArgs, args: WebArgs) -> anyhow::Result<()> {
    if args.hash_password {
        return hash();
    }
    if args.new_token {
        return output::data(&new_token());
    }
    args.logging.install()?;
    // Before anybody asks how much there is.
    descriptors::raise();
    let mut signals = Signals::install()?;
    let web = Config::load(args.config.as_deref()).or_usage()?.web;
    let host = args.host.clone().or_else(|| web.host.clone()).unwrap_or_else(|| DEFAULT_HOST.to_owned());
    let port = args.port.or(web.port).unwrap_or(DEFAULT_PORT);
    let entry = args.access().over(&web).or_usage()?;
    let listener = bind(&host, port).await?;
    let address = listener.local_addr().context("the address of the pages")?;
    let open = entry.access.is_open();
    if open && !address.ip().is_loopback() {
        return Err(usage(format!(
            "whoever reaches {address} could read and change the queue without a login: set --user and --password \
             (PGQUEUER_WEB_USER, PGQUEUER_WEB_PASSWORD), --token-file or [[web.users]] in pgq-host.toml, or listen on \
             {DEFAULT_HOST}"
        )));
    }
    let (names, database) = (database.names()?, database.database()?);
    let pool = database.for_pages(pool_size().map_err(anyhow::Error::msg).or_usage()?).or_usage()?;
    let health = Arc::new(Health::new(pool.clone()));
    if let Some(trouble) = health.trouble().await {
        tracing::warn!(error = trouble, "the database cannot be reached; the pages say so until it can");
    }
    let site = Site::new(Operator::new(pool.clone(), names).masking(entry.masks), &entry.base_path);
    let app = App::new(pgq_web::router(site.clone()), site.clone(), entry.access, address.port());
    let front = Front { open_paths: &["/healthz", "/readyz"], open: health.handler(), pages: app.handler() };
    let stop = CancellationToken::new();
    let serving = server::serve(listener, front, stop.clone());
    tracing::info!(%address, "serving the pages at http://{address}{}", site.link("/"));
    if open {
        tracing::info!("there is no login: whoever is on this machine may do everything");
    }
    let serving = std::pin::pin!(serving);
    let stopped = async {
        let name = signals.next().await;
        tracing::info!(signal = name, "stopping");
        stop.cancel();
    };
    let (_, ()) = tokio::join!(serving, stopped);
    pool.close().await;
    Ok(())
}

impl WebArgs {
    fn access(&self) -> AccessSettings {
        AccessSettings {
            user: self.user.clone(),
            password: self.password.clone(),
            password_file: self.password_file.clone(),
            token_file: self.token_file.clone(),
            base_path: self.base_path.clone(),
            trusted_proxies: self.trusted_proxies.clone(),
            hosts: self.hosts.clone(),
        }
    }
}

/// At the first address of the host that can be had.
async fn bind(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    let failed = || format!("cannot listen on {host} at port {port}; choose others with --host and --port");
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await.with_context(failed)?.collect();
    let mut last = None;
    for address in addresses {
        match server::bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error).with_context(failed),
        None => bail!(failed()),
    }
}

fn hash() -> anyhow::Result<()> {
    if std::io::stdin().is_terminal() {
        output::status("The password, which is shown as you type it (or pass it by a pipe):");
    }
    let mut text = String::new();
    let mut input = std::io::BufReader::new(std::io::stdin()).take(MAX_PASSWORD);
    std::io::BufRead::read_line(&mut input, &mut text).context("cannot read the password")?;
    let password = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
    output::data(&hash_password(password).map_err(anyhow::Error::msg).or_usage()?)
}
