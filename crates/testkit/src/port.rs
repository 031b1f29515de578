//! Ports of loopback that belong to a test.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};

/// A port that no other program gets by chance as long as this lives: a connection to it is refused, and a server that names it can
/// listen on it.
///
/// It is held by a socket that is bound with `SO_REUSEADDR` and doesn't listen (socket(7)). Servers set this option, too.
#[derive(Debug)]
pub struct HeldPort {
    _socket: OwnedFd,
    address: SocketAddrV4,
}

impl HeldPort {
    /// Any one.
    ///
    /// # Panics
    /// The system gives none.
    pub fn any() -> HeldPort {
        let held = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        sockopt::set_socket_reuseaddr(&held, true).expect("an option");
        bind(&held, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = getsockname(&held).ok().and_then(|address| SocketAddrV4::try_from(address).ok());
        HeldPort { _socket: held, address: address.expect("an address") }
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.address.port()
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address.into()
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn it_refuses_until_a_server_listens_there() {
        let port = HeldPort::any();
        for _ in 0..2 {
            assert_eq!(TcpStream::connect(port.address()).expect_err("closed").kind(), ErrorKind::ConnectionRefused);
            let server = TcpListener::bind(port.address()).expect("it is free");
            drop((TcpStream::connect(port.address()).expect("it listens"), server.accept().expect("a client")));
        }
    }
}
