//! `probe`: for a container's health check, since small images have no HTTP client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::output;
use super::values;
use crate::config::parse_duration;

#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    /// The address at which the host serves its pages
    #[arg(long, env = "PGQ_HOST_LISTEN", value_parser = values::address, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Ask whether it is ready for jobs (/readyz) instead of whether it is alive (/healthz)
    #[arg(long)]
    ready: bool,
    /// Ask whether it is alive and serves all the plugins that it should
    #[arg(long, conflicts_with = "ready")]
    plugins: bool,
    /// Seconds to wait for the answer
    #[arg(long, default_value = "10", value_parser = parse_duration)]
    timeout: Duration,
}

/// Prints the page and succeeds if the host says yes.
pub(super) async fn run(args: ProbeArgs) -> anyhow::Result<()> {
    let address = reachable(args.listen);
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let page =
        tokio::time::timeout(args.timeout, get(address, path)).await.map_err(anyhow::Error::from).and_then(|page| page);
    let page = page.with_context(|| {
        format!("no answer from http://{address}{path}; does the host run with --listen {}?", args.listen)
    })?;
    let (head, body) = page.split_once("\r\n\r\n").unwrap_or((&page, ""));
    if !head.starts_with("HTTP/1.1 200 ") {
        bail!("http://{address}{path} answered no:\n{}", body.trim_end());
    }
    if args.plugins {
        let page = tokio::time::timeout(args.timeout, get(address, "/readyz")).await??;
        // Anything else that keeps it from being ready, such as a database that is down, is not
        // about its plugins.
        if let Some(fault) = page.lines().find(|line| line.starts_with("[-] plugins: ")) {
            bail!("http://{address}/readyz answered no:\n{fault}");
        }
    }
    output::data(body.trim_end())
}

/// A host that listens on all addresses is reached at the loopback address.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut page = String::new();
    stream.read_to_string(&mut page).await?;
    Ok(page)
}
