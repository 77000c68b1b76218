//! Ports: free for `serve`, or held by a `serve` that answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Check;
use crate::settings::Settings;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What answers on a port of ours.
#[derive(Debug, Clone, Copy)]
enum Speaks {
    /// `GET /health` with 200.
    Api,
    /// A request without a credential with a refusal.
    Proxy,
    /// TLS: that it accepts connections is all that can be told from here.
    Tls,
}

pub(super) async fn checks(settings: &Settings) -> Vec<Check> {
    let mut checks = vec![port("port proxy.listen", settings.proxy.listen, Speaks::Proxy).await];
    if let Some(tls) = &settings.proxy.tls {
        checks.push(port("port proxy.tls", tls.listen, Speaks::Tls).await);
    }
    let speaks = if settings.api.tls.is_some() { Speaks::Tls } else { Speaks::Api };
    checks.push(port("port api.listen", settings.api.listen, speaks).await);
    checks
}

async fn port(name: &'static str, address: SocketAddr, speaks: Speaks) -> Check {
    // Bound and let go at once.
    match TcpListener::bind(address) {
        Ok(_bound) => Check::ok(name, format!("{address} is free for `muniment serve`")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => in_use(name, address, speaks).await,
        Err(error) => {
            Check::wrong(name, format!("{address}: {error}"), "choose an address of this machine, or another port")
        }
    }
}

async fn in_use(name: &'static str, address: SocketAddr, speaks: Speaks) -> Check {
    match tokio::time::timeout(PATIENCE, ask(near(address), speaks)).await {
        Ok(Ok(true)) => Check::ok(name, format!("{address} answers: `muniment serve` runs")),
        Ok(Ok(false)) => Check::wrong(
            name,
            format!("{address} is held by something that does not answer like `muniment serve`"),
            "find out by whom (`ss -ltnp`), or choose another port",
        ),
        Ok(Err(error)) => Check::wrong(
            name,
            format!("{address} is in use and cannot be reached: {error}"),
            "find out by whom (`ss -ltnp`), or choose another port",
        ),
        Err(_elapsed) => Check::wrong(
            name,
            format!("{address} is in use and does not answer within {} s", PATIENCE.as_secs()),
            "if that is `muniment serve`, its log says why; otherwise choose another port",
        ),
    }
}

/// Where a listener on every address is reached from here.
const fn near(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), address.port()),
        _ => address,
    }
}

async fn ask(address: SocketAddr, speaks: Speaks) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = match speaks {
        Speaks::Tls => return Ok(true),
        Speaks::Api => "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        Speaks::Proxy => "CONNECT muniment.invalid:443 HTTP/1.1\r\nHost: muniment.invalid:443\r\n\r\n",
    };
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 12];
    let read = stream.read_exact(&mut answer).await;
    let wanted: &[u8] = if matches!(speaks, Speaks::Api) { b"HTTP/1.1 200" } else { b"HTTP/1.1 407" };
    Ok(read.is_ok() && answer == wanted)
}
