//! TCP: opening a connection, and what every connection of ours wants.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::connect::Target;
use crate::error::LinkError;
use crate::threads::on_thread;

/// Unsent bytes that the kernel takes for a connection: enough to keep it busy, little enough that an exit status does
/// not queue behind megabytes of output (tcp(7), TCP_NOTSENT_LOWAT).
const NOT_SENT: u32 = 256 * 1024;

/// No delay for short messages, little queueing for long ones.
pub(crate) fn tune(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    SockRef::from(tcp).set_tcp_notsent_lowat(NOT_SENT)
}

/// Connects to one of the target's addresses, in the order in which the name's lookup gives them.
pub(crate) async fn open(target: &Target, limit: Duration) -> Result<TcpStream, LinkError> {
    let failed = |error: io::Error| LinkError::Unreachable { target: target.to_string(), source: Arc::new(error) };
    let opening = async {
        let addresses = addresses(target).await?;
        let tcp = first_that_answers(target, &addresses).await.map_err(failed)?;
        tune(&tcp).map_err(failed)?;
        Ok(tcp)
    };
    timeout(limit, opening).await.unwrap_or_else(|_| Err(LinkError::Unanswered { target: target.to_string(), limit }))
}

/// Tries one address after the other. The error is the last one's.
async fn first_that_answers(target: &Target, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        tracing::debug!(event = "connecting", %target, %address);
        match TcpStream::connect(address).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => {
                tracing::debug!(event = "not_connected", %address, %error);
                failed = error;
            }
        }
    }
    Err(failed)
}

/// A name is looked up on a thread of its own: it may take long, and there may be no thread.
async fn addresses(target: &Target) -> Result<Vec<SocketAddr>, LinkError> {
    if let Ok(address) = target.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, target.port)]);
    }
    let name = (target.host.clone(), target.port);
    let found = on_thread("unglue-lookup", move || name.to_socket_addrs().map(Vec::from_iter)).await;
    let found = found
        .map_err(|error| LinkError::Thread { what: "the host's name was not looked up", source: Arc::new(error) })?;
    found.map_err(|error| LinkError::Unreachable { target: target.to_string(), source: Arc::new(error) })
}
