//! Links over TCP: connecting and accepting, from the socket to the first stream.

mod accept;
mod connect;
mod handshake;
mod lobby;

pub use accept::{Accepted, Refusal, ServerTls, accept};
pub use connect::{ConnectError, Connected, HostTrust, Target, UnknownHost, connect};
pub use lobby::{Lobby, Stranger};

use std::io;

use socket2::SockRef;
use tokio::net::TcpStream;

/// Unsent bytes that the kernel takes for a connection: enough to keep it busy, little enough that an exit status does
/// not queue behind megabytes of output (tcp(7), TCP_NOTSENT_LOWAT).
const NOT_SENT: u32 = 256 * 1024;

/// Sets what every connection of ours wants: no delay for short messages, little queueing for long ones.
fn tune(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    SockRef::from(tcp).set_tcp_notsent_lowat(NOT_SENT)
}
