//! The largest datagram.

use super::Scene;
use super::actor::Udp;
use super::stage::Stage;
use crate::LabError;
use crate::dialects::udp::LARGEST;

pub(super) const SCENE: Scene = Scene {
    name: "udp-limit",
    title: "65,507 bytes are sent, 65,508 are not",
    why: "An IPv4 packet has 65,535 bytes at most (its length field has 16 bits), of which IP's header takes 20 and UDP's 8. A \
          larger message isn't cut: the call fails with EMSGSIZE, and nothing is sent.",
    fix: "send large things over a stream, with a framing; if it must be UDP, cut them into numbered pieces of about 1,200 bytes \
          yourself, or use QUIC, which does",
    play,
};

fn play(stage: &mut Stage) -> Result<(), LabError> {
    let message = vec![b'x'; LARGEST + 1];
    let (received, refused, nothing) = {
        let (sender, receiver) = (Udp::new("sender", &stage.recording)?, Udp::new("receiver", &stage.recording)?);
        sender.send_to(&message[..LARGEST], &receiver)?;
        let received = receiver.recv_from(LARGEST + 1, &[&sender])?;
        let refused = sender.try_send_to(&message, &receiver).err().and_then(|error| error.raw_os_error());
        (received, refused, receiver.hears_next(&sender, b"end")?)
    };
    stage.way("sender", "receiver");
    stage.claim("65,507 bytes arrive as one message", received.bytes == message[..LARGEST]);
    stage.claim("65,508 fail with EMSGSIZE", refused == Some(libc::EMSGSIZE));
    stage.claim("nothing of them arrives: the next message is the next one sent", nothing);
    stage.result("largest_bytes", LARGEST);
    stage.result("received_bytes", vec![received.bytes.len()]);
    Ok(())
}
