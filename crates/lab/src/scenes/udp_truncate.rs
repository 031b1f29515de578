//! A datagram that is larger than the receiver's buffer.

use super::Scene;
use super::actor::Udp;
use super::stage::Stage;
use crate::LabError;
use crate::dialects::RECV;

/// How much is sent, in bytes.
const BYTES: usize = 2000;

pub(super) const SCENE: Scene = Scene {
    name: "udp-truncate",
    title: "what the buffer doesn't hold is lost",
    why: "recvfrom gives one datagram, and throws away what doesn't fit: the next call gives the next datagram, not the rest. \
          The kernel marks that as MSG_TRUNC, which Python's recvfrom doesn't show.",
    fix: "receive with a buffer of 65,535 bytes, or look at MSG_TRUNC (recvmsg); or put a length into the datagram and compare",
    play,
};

fn play(stage: &mut Stage) -> Result<(), LabError> {
    let message: Vec<u8> = (0..BYTES).map(|at| b'a' + (at % 26) as u8).collect();
    let (received, nothing) = {
        let (sender, receiver) = (Udp::new("sender", &stage.recording)?, Udp::new("receiver", &stage.recording)?);
        sender.send_to(&message, &receiver)?;
        (receiver.recv_from(RECV, &[&sender])?, receiver.hears_next(&sender, b"end")?)
    };
    stage.way("sender", "receiver");
    stage.claim("the first 1,024 bytes arrive", received.bytes == message[..RECV]);
    stage.claim("there is no rest to receive: the next message is the next one sent", nothing);
    stage.claim("the kernel knew how long it was", received.length == BYTES);
    stage.result("sent_bytes", BYTES);
    stage.result("received_bytes", received.bytes.len());
    stage.result("lost_bytes", received.length - received.bytes.len());
    Ok(())
}
