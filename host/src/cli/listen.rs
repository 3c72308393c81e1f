//! `listen`: prints the messages on a channel, to show what producers and workers tell each other.

use anyhow::Context as _;
use clap::Args;
use sqlx::Connection as _;
use sqlx::postgres::PgListener;

use super::database::DatabaseArgs;
use super::output;
use super::usage::usage;
use pgq_queue as queue;

/// PostgreSQL truncates longer names, and would listen on a different channel.
const MAX_CHANNEL_BYTES: usize = 63;

#[derive(Debug, Args)]
pub(super) struct ListenArgs {
    /// A channel other than the queue's own
    #[arg(long)]
    channel: Option<String>,
}

/// Ends with the connection, with its reader, or with Ctrl-C.
pub(super) async fn run(database: &DatabaseArgs, args: ListenArgs) -> anyhow::Result<()> {
    let channel = args.channel.map_or_else(|| database.names().map(|names| names.channel), Ok)?;
    if channel.is_empty() || channel.len() > MAX_CHANNEL_BYTES {
        return Err(usage(format!(
            "{channel:?} is not a valid channel; its name must have 1 to {MAX_CHANNEL_BYTES} bytes"
        )));
    }
    database.connect().await?.close().await?;
    let source = database.session()?;
    let reach = source.reach(source.time()?).await?;
    let pool = queue::connect(reach.options.clone()).await.context("cannot listen")?;
    let mut listener = PgListener::connect_with(&pool).await.context("cannot listen")?;
    // Messages sent while the connection is down are lost. Better to end than to continue as if
    // nothing had been missed.
    listener.eager_reconnect(false);
    listener.listen(&channel).await.with_context(|| format!("cannot listen on the channel {channel:?}"))?;
    output::status(&format!("Listening on {channel}; stop with Ctrl-C."));
    while let Some(notification) = listener.try_recv().await.context("the listening connection is lost")? {
        if !output::line(notification.payload())? {
            return Ok(());
        }
    }
    anyhow::bail!("the listening connection is lost")
}
