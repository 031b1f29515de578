//! Python's socket calls by their Rust counterparts, on loopback: `cargo run -p unglue-lab --example socket_calls`
//!
//! Each line that it prints is one call: Python's name, what does the same in Rust, and what it gave. What a call should give
//! is asserted, so the table in `docs/sticky-packets.md` can't be wrong. Where std has no such call, socket2 has it.

use std::fmt::Display;
use std::io::{self, BufRead as _, BufReader, BufWriter, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, SockRef, Socket, Type};

/// No call waits longer.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> io::Result<()> {
    let listener = bind_and_listen()?;
    let (client, server) = connect_and_accept(&listener)?;
    names(&client, &server)?;
    connect_ex(&listener)?;
    send_and_recv(&client, &server)?;
    sendall(&client, &server)?;
    sendto_and_recvfrom()?;
    options(&client)?;
    timeouts(&server)?;
    without_waiting(&server)?;
    fileno(&client)?;
    makefile(&client, &server)?;
    close(client, server)
}

/// One line: the call in Python, in Rust, and what it gave.
fn told(python: &str, rust: &str, gave: impl Display) {
    println!("{python:<12} {rust:<40} {gave}");
}

/// A socket that waits for nothing longer than [`PATIENCE`]: neither in accept nor in read nor in write (socket(7)).
fn patient(socket: &Socket) -> io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))
}

/// `TcpListener::bind` does all of this in one call, with a backlog that std chooses.
fn bind_and_listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    patient(&socket)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let address = socket.local_addr()?.as_socket().expect("an IPv4 address");
    assert_ne!(address.port(), 0, "the kernel has picked a port");
    told("bind", "socket2::Socket::bind", address);
    socket.listen(5)?;
    assert!(socket.is_listener()?);
    told("listen", "socket2::Socket::listen", "backlog 5");
    Ok(socket.into())
}

/// The client connects first: the kernel queues it, so accept finds it there.
fn connect_and_accept(listener: &TcpListener) -> io::Result<(TcpStream, TcpStream)> {
    let client = TcpStream::connect_timeout(&listener.local_addr()?, PATIENCE)?;
    told("connect", "TcpStream::connect_timeout", client.peer_addr()?);
    let (server, peer) = listener.accept()?;
    assert_eq!(peer, client.local_addr()?);
    told("accept", "TcpListener::accept", peer);
    for end in [&client, &server] {
        end.set_read_timeout(Some(PATIENCE))?;
        end.set_write_timeout(Some(PATIENCE))?;
    }
    Ok((client, server))
}

fn names(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    assert_eq!((client.peer_addr()?, client.local_addr()?), (server.local_addr()?, server.peer_addr()?));
    told("getpeername", "TcpStream::peer_addr", client.peer_addr()?);
    told("getsockname", "TcpStream::local_addr", client.local_addr()?);
    Ok(())
}

/// Python gives a number instead of an exception: 0, or the error's. In Rust the number is in the error.
fn connect_ex(listener: &TcpListener) -> io::Result<()> {
    let number = |connected: io::Result<()>| connected.map_or_else(|error| error.raw_os_error(), |()| Some(0));
    // It has an address and doesn't listen, so nobody else can listen there either.
    let deaf = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    deaf.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let caller = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let refused = number(caller.connect(&deaf.local_addr()?));
    assert_eq!(refused, Some(libc::ECONNREFUSED));
    told("connect_ex", "io::Error::raw_os_error", format!("{}, ECONNREFUSED", libc::ECONNREFUSED));

    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let begun = number(socket.connect(&listener.local_addr()?.into())).expect("an error of the system");
    assert!(matches!(begun, 0 | libc::EINPROGRESS), "{begun}");
    let mut waiting = [PollFd::new(&socket, PollFlags::OUT)];
    let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    assert_eq!(poll(&mut waiting, Some(&patience))?, 1);
    assert!(socket.take_error()?.is_none(), "SO_ERROR tells how it ended");
    told("connect_ex", "Socket::set_nonblocking, then connect", format!("{begun}; poll; take_error gives none"));
    listener.accept().map(drop)
}

fn send_and_recv(mut client: &TcpStream, mut server: &TcpStream) -> io::Result<()> {
    let sent = client.write(b"hello")?;
    assert_eq!(sent, 5, "a short message fits into an empty buffer");
    told("send", "Write::write", format!("{sent} of 5 bytes taken"));
    let mut buffer = [0; 2];
    let got = server.read(&mut buffer)?;
    told("recv", "Read::read", format!("at most 2: {:?}", text(&buffer[..got])));
    let mut rest = vec![0; 5 - got];
    server.read_exact(&mut rest)?;
    assert_eq!([&buffer[..got], &rest].concat(), b"hello");
    told("recv", "Read::read_exact, as a loop of recv", format!("the rest: {:?}", text(&rest)));
    Ok(())
}

/// More than any buffer holds, so somebody must read meanwhile.
fn sendall(mut client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    let all = vec![b'x'; 1 << 23];
    let received = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut received = vec![0; 1 << 23];
            (&mut &*server).read_exact(&mut received).map(|()| received)
        });
        client.write_all(&all)?;
        reader.join().expect("no panic")
    })?;
    assert_eq!(received, all);
    told("sendall", "Write::write_all", format!("{} bytes, and all arrived", received.len()));
    Ok(())
}

fn sendto_and_recvfrom() -> io::Result<()> {
    let (sender, receiver) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    receiver.set_read_timeout(Some(PATIENCE))?;
    let sent = sender.send_to(b"egg", receiver.local_addr()?)?;
    assert_eq!(sent, 3);
    told("sendto", "UdpSocket::send_to", format!("{sent} bytes to {}", receiver.local_addr()?));
    let mut buffer = [0; 1024];
    let (got, from) = receiver.recv_from(&mut buffer)?;
    assert_eq!((&buffer[..got], from), (&b"egg"[..], sender.local_addr()?));
    told("recvfrom", "UdpSocket::recv_from", format!("{:?} from {from}", text(&buffer[..got])));
    Ok(())
}

/// `SockRef` gives any socket of std all of socket2's options.
fn options(client: &TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    assert!(client.nodelay()?);
    told("setsockopt", "TcpStream::set_nodelay", "TCP_NODELAY on");
    let options = SockRef::from(client);
    options.set_keepalive(true)?;
    assert!(options.keepalive()?);
    told("setsockopt", "socket2::SockRef::set_keepalive", "SO_KEEPALIVE on");
    options.set_recv_buffer_size(8192)?;
    let doubled = options.recv_buffer_size()?;
    assert_eq!(doubled, 2 * 8192, "Linux doubles what was asked for (socket(7))");
    told("getsockopt", "socket2::SockRef::recv_buffer_size", format!("SO_RCVBUF {doubled}, asked for 8192"));
    assert_eq!(options.r#type()?, Type::STREAM);
    told("getsockopt", "socket2::SockRef::type", "SO_TYPE is SOCK_STREAM");
    Ok(())
}

/// Python has one timeout for everything; Rust has one for each direction, and `None` waits for ever.
fn timeouts(mut server: &TcpStream) -> io::Result<()> {
    let short = Duration::from_millis(20);
    server.set_read_timeout(Some(short))?;
    let began = Instant::now();
    let nothing = server.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(nothing, Err(ErrorKind::WouldBlock));
    assert!(began.elapsed() >= short / 2, "it waited");
    told("settimeout", "TcpStream::set_read_timeout", "20 ms, then ErrorKind::WouldBlock");
    let kept = server.read_timeout()?.expect("it was set");
    assert!(kept >= short, "the kernel rounds up to its ticks");
    told("gettimeout", "TcpStream::read_timeout", format!("{kept:?}"));
    let zero = server.set_read_timeout(Some(Duration::ZERO)).map_err(|error| error.kind());
    assert_eq!(zero, Err(ErrorKind::InvalidInput), "Python's settimeout(0) is set_nonblocking(true)");
    server.set_read_timeout(Some(PATIENCE))
}

fn without_waiting(mut server: &TcpStream) -> io::Result<()> {
    server.set_nonblocking(true)?;
    let nothing = server.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(nothing, Err(ErrorKind::WouldBlock));
    told("setblocking", "TcpStream::set_nonblocking", "true: ErrorKind::WouldBlock at once");
    server.set_nonblocking(false)
}

/// `AsFd` lends the descriptor and can't outlive the socket; `AsRawFd` gives the number alone.
fn fileno(client: &TcpStream) -> io::Result<()> {
    let number = client.as_raw_fd();
    assert!(number >= 0 && number == client.as_fd().as_raw_fd());
    told("fileno", "AsRawFd::as_raw_fd", number);
    let copy = OwnedFd::from(client.try_clone()?);
    assert_ne!(copy.as_raw_fd(), number, "a second descriptor of the same socket");
    assert_eq!(TcpStream::from(copy).peer_addr()?, client.peer_addr()?);
    Ok(())
}

fn makefile(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    let mut writing = BufWriter::new(client);
    write!(writing, "one\ntwo\n")?;
    writing.flush()?;
    told("makefile", "io::BufWriter::new", "2 lines written, sent by flush");
    let mut lines = BufReader::new(server.try_clone()?);
    let mut line = String::new();
    assert_eq!(lines.read_line(&mut line)?, 4);
    // What has come of the second line lies in the reader's buffer: who asks the socket now doesn't get it.
    let ahead = text(lines.buffer());
    assert!("two\n".starts_with(&ahead));
    told("makefile", "io::BufReader::new", format!("{line:?}, and {ahead:?} in its buffer"));
    assert_eq!(lines.read_line(&mut line)?, 4);
    assert_eq!(line, "one\ntwo\n");
    Ok(())
}

/// A socket is closed when it is dropped. `shutdown` tells the peer, whoever else holds the socket.
fn close(client: TcpStream, mut server: TcpStream) -> io::Result<()> {
    client.shutdown(Shutdown::Write)?;
    assert_eq!(server.read(&mut [0])?, 0, "the end of the stream");
    told("shutdown", "TcpStream::shutdown", "the peer's read gives 0");
    drop(client);
    told("close", "drop", "the descriptor is gone");
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
