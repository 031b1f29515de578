//! The third act: the same commands over a bare socket.

use std::io;

use tokio::task::spawn_blocking;
use unglue_lab::dialects::RECV;
use unglue_lab::scenes::cut_reply::{CutReply, Exchange, Piece, Script, enact};

use super::screen::{Screen, Tone, count};
use super::stage::Stage;
use super::{COMMANDS, Stopped};
use crate::complaint::Complaint;

/// The longest line that is shown whole, in characters.
const WIDTH: usize = 76;

/// Plays the scene and shows what came of it.
pub(super) async fn act(stage: &Stage, screen: &mut Screen) -> Result<(), Stopped> {
    screen.title(
        3,
        &format!("The same commands over a bare socket, with a client that takes one recv({RECV}) for one reply"),
    )?;
    let script = Script::new(stage.served(), COMMANDS);
    let scene = spawn_blocking(move || enact(&script)).await.map_err(io::Error::from)?;
    let scene = scene.map_err(|error| Complaint::new(error.to_string()))?;
    for (index, exchange) in scene.exchanges.iter().enumerate() {
        show(&scene, index, exchange, screen)?;
    }
    let wrong = scene.exchanges.iter().enumerate().filter(|(index, exchange)| !exchange.is_right(*index)).count();
    let late = count(scene.late);
    let text =
        format!("{wrong} of {} replies are wrong, and {late} bytes come after the last one", scene.exchanges.len());
    screen.remark(if wrong > 0 { Tone::Bad } else { Tone::Good }, &text)?;
    screen.remark(
        Tone::Faint,
        "TCP carries bytes, not messages: no byte was lost, but the replies are cut in the wrong places",
    )
}

fn show(scene: &CutReply, index: usize, exchange: &Exchange, screen: &mut Screen) -> Result<(), Stopped> {
    screen.prompt(&exchange.asked)?;
    screen.output(&shown(&exchange.received))?;
    let tone = if exchange.is_right(index) { Tone::Good } else { Tone::Bad };
    screen
        .remark(tone, &format!("{} bytes: {}", count(exchange.received.len() as u64), belongs_to(scene, exchange)))?;
    if exchange.under_way > 0 {
        screen.remark(Tone::Faint, &format!("{} bytes are still under way", count(exchange.under_way)))?;
    }
    Ok(())
}

/// Whose reply the bytes are.
fn belongs_to(scene: &CutReply, exchange: &Exchange) -> String {
    let piece = |piece: &Piece| {
        let of = &scene.exchanges[piece.command];
        match (piece.from, piece.to == of.reply) {
            (0, true) => format!("the whole reply to `{}`", of.asked),
            (0, false) => {
                format!("the first {} of {} bytes that `{}` printed", count(piece.to), count(of.reply), of.asked)
            }
            (from, true) => {
                format!("the last {} of {} bytes of `{}`", count(of.reply - from), count(of.reply), of.asked)
            }
            (from, false) => format!("bytes {} to {} of `{}`", count(from), count(piece.to), of.asked),
        }
    };
    exchange.pieces.iter().map(piece).collect::<Vec<_>>().join(", then ")
}

/// The first line and the last two, which is where a cut shows.
fn shown(received: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(received);
    let cut = !text.ends_with('\n');
    let mut lines: Vec<String> = text.lines().map(shortened).collect();
    if let Some(last) = lines.last_mut().filter(|_| cut) {
        last.push_str("▌ cut here");
    }
    if lines.len() > 4 {
        let hidden = lines.len() - 3;
        lines.splice(1..lines.len() - 2, [format!("… {hidden} lines …")]);
    }
    lines
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_shown_where_it_is() {
        assert_eq!(shown(b"a\nb"), ["a", "b▌ cut here"]);
        assert_eq!(shown(b"1\n2\n3\n4\n5\n6\n"), ["1", "… 3 lines …", "5", "6"]);
    }
}
