//! One socket, many senders.

use super::Scene;
use super::actor::Udp;
use super::stage::Stage;
use crate::LabError;

pub(super) const SCENE: Scene = Scene {
    name: "udp-many",
    title: "one socket, many senders, each message with its address",
    why: "A UDP socket has no peer: each datagram comes whole and bears its sender's address, so messages of many senders can't \
          mix. Nothing is accepted and nothing is closed, and nothing says whether a datagram arrived, or in which order.",
    fix: "tell senders apart by the address that recvfrom gives, and number messages where order or loss matters",
    play,
};

fn play(stage: &mut Stage) -> Result<(), LabError> {
    let mut received = {
        let receiver = Udp::new("receiver", &stage.recording)?;
        let senders = [("anna", "hello"), ("bert", "egg"), ("cleo", "hello egg")];
        let senders = senders.map(|(name, message)| Udp::new(name, &stage.recording).map(|udp| (udp, message)));
        let senders = senders.into_iter().collect::<Result<Vec<_>, _>>()?;
        for (sender, message) in &senders {
            sender.send_to(message.as_bytes(), &receiver)?;
        }
        let known: Vec<&Udp<'_>> = senders.iter().map(|(sender, _)| sender).collect();
        let received = senders.iter().map(|_| receiver.recv_from(1024, &known));
        received.collect::<Result<Vec<_>, _>>()?
    };
    // The order is nothing that the network guarantees.
    received.sort_by_key(|message| message.peer);
    let received: Vec<String> =
        received.iter().map(|message| format!("{}: {}", message.peer, super::stage::text(&message.bytes))).collect();
    stage.claim(
        "each message is whole, and its sender known",
        received == ["anna: hello", "bert: egg", "cleo: hello egg"],
    );
    stage.result("received", received);
    Ok(())
}
