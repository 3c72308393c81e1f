//! `probe`: what a container's health check calls, since small images have nothing that speaks
//! HTTP.

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
    /// Where the host serves its pages
    #[arg(long, env = "PGQ_HOST_LISTEN", value_parser = values::address, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Ask whether it is ready for jobs (/readyz), instead of whether it is alive (/healthz)
    #[arg(long)]
    ready: bool,
    /// Ask whether it is alive, and serves the plugins that it is meant to serve
    #[arg(long, conflicts_with = "ready")]
    plugins: bool,
    /// Wait so many seconds for the answer
    #[arg(long, default_value = "10", value_parser = parse_duration)]
    timeout: Duration,
}

/// Exits 0 with the page when the host says yes, else 1.
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
        bail!("http://{address}{path} said no:\n{}", body.trim_end());
    }
    if args.plugins {
        let page = tokio::time::timeout(args.timeout, get(address, "/readyz")).await??;
        // What else keeps it from being ready is no fault of its files, such as a database that is
        // away.
        if let Some(fault) = page.lines().find(|line| line.starts_with("[-] plugins: ")) {
            bail!("http://{address}/readyz said no:\n{fault}");
        }
    }
    output::data(body.trim_end())
}

/// To listen on all addresses is to listen on this machine's own.
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
