//! Small sends, with and without Nagle's algorithm.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::Scene;
use super::actor::Tcp;
use super::stage::{PATIENCE, Stage, until};
use crate::LabError;
use crate::kernel::{TcpInfo, tcp_info};
use crate::network::{Network, Side};
use crate::record::Recording;

/// The wire's delay in each direction.
const DELAY: Duration = Duration::from_millis(5);
/// Its MTU, in bytes.
const MTU: u16 = 1500;
/// How often a trial is repeated that the machine has held up.
const TRIALS: u32 = 50;
/// What is sent, a byte a call.
const MESSAGE: &[u8; 5] = b"hello";

pub(super) const SCENE: Scene = Scene {
    name: "nagle",
    title: "five small sends leave in two segments, in five, or in one",
    why: "Nagle's algorithm (RFC 896) keeps small data back as long as an earlier small segment is unacknowledged, TCP_NODELAY sends it at once, and \
          TCP_CORK keeps it back until it is taken off. All three choose how many segments carry the bytes; the receiver gets \
          the same stream, and no boundary more than before.",
    fix: "gather a message and send it in one call, and set TCP_NODELAY where a reply is waited for; boundaries come from a framing, \
          which none of this is",
    play,
};

/// How small data is treated.
#[derive(Clone, Copy, PartialEq)]
enum Treated {
    /// By Nagle's algorithm, as every new socket does.
    Nagle,
    NoDelay,
    Cork,
}

/// Segments that had left while no acknowledgement came back, and in all.
#[derive(Debug, PartialEq)]
struct Counted {
    held: u32,
    all: u32,
    received: Vec<u8>,
}

fn play(stage: &mut Stage) -> Result<(), LabError> {
    let network = Network::new(DELAY, MTU)?;
    let nagle = in_time(&network, Treated::Nagle, &stage.recording)?;
    let nodelay = in_time(&network, Treated::NoDelay, &stage.recording)?;
    let cork = in_time(&network, Treated::Cork, &stage.recording)?;
    stage.claim(
        "by default one segment leaves, and one more after its acknowledgement",
        (nagle.held, nagle.all) == (1, 2),
    );
    stage.claim("with TCP_NODELAY each send leaves in a segment of its own", (nodelay.held, nodelay.all) == (5, 5));
    stage.claim("with TCP_CORK none leaves before the cork is out, then one", (cork.held, cork.all) == (0, 1));
    let received = [&nagle, &nodelay, &cork].map(|counted| counted.received == MESSAGE);
    stage.claim("one recv gives the same five bytes each time", received == [true; 3]);
    for (name, counted) in [("segments by default", &nagle), ("with TCP_NODELAY", &nodelay), ("with TCP_CORK", &cork)] {
        stage.bar(name, counted.all.into(), "");
    }
    stage.result("sends", MESSAGE.len());
    stage.result("segments_by_default", nagle.all);
    stage.result("segments_with_nodelay", nodelay.all);
    stage.result("segments_with_cork", cork.all);
    Ok(())
}

/// A trial that was not held up: kernels before 6.11 send again, and let go of a cork, after a time that can't be set.
fn in_time(network: &Network, treated: Treated, recording: &Recording) -> Result<Counted, LabError> {
    for _ in 0..TRIALS {
        let (began, attempt) = (Instant::now(), Recording::default());
        let counted = trial(network, treated, &attempt)?;
        if began.elapsed() < network.patience() {
            attempt.taken().into_iter().for_each(|call| recording.add(call));
            return Ok(counted);
        }
    }
    Err(LabError::Deadline { what: "a trial without interruption".into(), after: TRIALS * network.patience() })
}

/// One connection, with acknowledgements held back while the client sends: so it is certain that none comes in between.
fn trial(network: &Network, treated: Treated, recording: &Recording) -> Result<Counted, LabError> {
    let (client, server) = connected(network, recording)?;
    network.hold(Side::Near);
    let counted = sent(&client, treated);
    network.release(Side::Near);
    let held = counted?;
    if treated == Treated::Cork {
        set(&client, "TCP_CORK", "off", |socket| socket.set_tcp_cork(false))?;
    }
    server.until_queued(MESSAGE.len() as u64)?;
    until("the acknowledgement", || Ok(info(&client)?.unacked == 0))?;
    let all = info(&client)?.first_sent();
    Ok(Counted { held, all, received: server.recv(1024)? })
}

/// A client on the near host and a server on the far one. Their sockets work from any thread.
fn connected<'r>(network: &Network, recording: &'r Recording) -> Result<(Tcp<'r>, Tcp<'r>), LabError> {
    let unconnected = "connect over the scene's network";
    let far = SocketAddr::from((network.far().address(), 0));
    let listener = network.far().enter(|| TcpListener::bind(far)).map_err(LabError::io(unconnected))?;
    let address = listener.local_addr().map_err(LabError::io(unconnected))?;
    let client = network.near().enter(|| TcpStream::connect_timeout(&address, PATIENCE));
    let client = client.map_err(LabError::io(unconnected))?;
    let (server, _) = listener.accept().map_err(LabError::io(unconnected))?;
    Ok((Tcp::new("client", client, recording)?, Tcp::new("server", server, recording)?))
}

/// Sends the message byte by byte. Gives how many segments have left when the kernel has decided on all of them.
fn sent(client: &Tcp<'_>, treated: Treated) -> Result<u32, LabError> {
    match treated {
        Treated::Nagle => {}
        Treated::NoDelay => set(client, "TCP_NODELAY", "on", |socket| socket.set_tcp_nodelay(true))?,
        Treated::Cork => set(client, "TCP_CORK", "on", |socket| socket.set_tcp_cork(true))?,
    }
    for byte in MESSAGE {
        client.send(&[*byte])?;
    }
    let info = info(client)?;
    Ok(info.first_sent())
}

fn info(client: &Tcp<'_>) -> Result<TcpInfo, LabError> {
    tcp_info(&client.stream).map_err(LabError::io("read TCP_INFO"))
}

fn set(
    client: &Tcp<'_>,
    option: &'static str,
    value: &'static str,
    apply: impl Fn(&SockRef<'_>) -> std::io::Result<()>,
) -> Result<(), LabError> {
    apply(&SockRef::from(&client.stream)).map_err(LabError::io(format!("set {option}")))?;
    client.record("setsockopt", [option.into(), value.into()], ().into());
    Ok(())
}
