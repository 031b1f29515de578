//! Messages that hold nothing.

use super::Scene;
use super::actor::{Udp, tcp_pair};
use super::stage::{Stage, text};
use crate::LabError;
use crate::kernel::tcp_info;

pub(super) const SCENE: Scene = Scene {
    name: "empty",
    title: "nobody sees an empty send; everybody sees an empty datagram",
    why: "An empty send adds no byte to the stream, so there is nothing to transmit, and recv goes on waiting. A datagram is a \
          message even if it holds nothing: it has a header of its own, and recvfrom returns with empty bytes.",
    fix: "frame messages, and an empty one is a header alone (four zero bytes in u32be); never take empty bytes for a message on TCP: \
          there they are the end",
    play,
};

fn play(stage: &mut Stage) -> Result<(), LabError> {
    let (segments, over_tcp, over_udp) = {
        let (client, server) = tcp_pair(&stage.recording, |_| Ok(()))?;
        client.send(b"")?;
        let info = tcp_info(&client.stream).map_err(LabError::io("read TCP_INFO"))?;
        client.send(b"x")?;
        server.until_queued(1)?;
        let over_tcp = server.recv(10)?;
        let (sender, receiver) = (Udp::new("sender", &stage.recording)?, Udp::new("receiver", &stage.recording)?);
        sender.send_to(b"", &receiver)?;
        (info.data_segs_out, over_tcp, receiver.recv_from(10, &[&sender])?.bytes)
    };
    stage.way("client", "server");
    stage.way("sender", "receiver");
    stage.claim("after the empty send no segment with data had left", segments == 0);
    stage.claim("the server's first recv gives the message behind it", over_tcp == b"x");
    stage.claim("the empty datagram arrives, as a message of no bytes", over_udp.is_empty());
    stage.result("segments_of_the_empty_send", segments);
    stage.result("received_over_tcp", vec![text(&over_tcp)]);
    stage.result("received_over_udp", vec![text(&over_udp)]);
    Ok(())
}
