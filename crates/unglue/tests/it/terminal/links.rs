//! A terminal goes on over the next link: nothing is missing, nothing is shown twice.

use std::time::Duration;

use unglue::{Exec, LinkState};
use unglue_testkit::relay::{Break, Flow, Relay, Towards};

use super::{Session, in_bash, on_terminal};
use crate::daemon::Daemon;
use crate::site::{Site, code, soon, within};
use crate::soaking;
use crate::tree::Mark;

/// A session of a few kilobytes: text, colours, another screen, what is typed.
const SESSION: &str = r"stty -echo; printf ready; read line; i=0
while [ $i -lt 40 ]; do printf '\033[3%dmline %d of <%s>\033[m\r\n' $((i % 8)) $i $line; i=$((i + 1)); done
printf '\033[?1049h\033[5;5Hother screen \342\202\254\033[?1049l\033]2;title\007'; read line; echo over $line";

/// What a client is shown in the whole session.
async fn session(site: &Site, relay: &Relay, exec: &Exec) -> Option<Vec<u8>> {
    let address = crate::site::address_of(relay.address());
    let client = unglue::Client::connect(&address, &site.client_options()).await.ok()?;
    let mut running = client.exec(exec).await.ok()?;
    let mut output = running.stdout.take()?;
    let mut input = running.stdin.take()?;
    let mut seen = Vec::new();
    let mut typed = 0;
    while let Some(data) = soon(40, "some output", output.read(65_536)).await.ok()? {
        seen.extend_from_slice(&data);
        let shows = |text: &str| seen.windows(text.len()).any(|window| window == text.as_bytes());
        if (typed == 0 && shows("ready")) || (typed == 1 && shows("title")) {
            typed += 1;
            input.write_all(format!("typed {typed}\n").into()).await.ok()?;
        }
    }
    drop((output, input));
    let report = soon(20, "the outcome", running.outcome()).await;
    assert_eq!(code(&report), 0, "{report:?}");
    Some(seen)
}

#[test]
fn a_link_that_is_cut_anywhere_changes_nothing_of_what_is_shown() {
    within(if soaking() { 7200 } else { 500 }, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let undisturbed = Relay::start(serving.address(), 1).await.expect("a relay");
        let expected = session(&site, &undisturbed, &on_terminal(&mark, SESSION)).await.expect("it goes well");
        assert!(expected.ends_with(b"over typed 2\r\n"), "{}", expected.escape_ascii());
        for towards in [Towards::Client, Towards::Server] {
            let total = undisturbed.carried(towards);
            let step = if soaking() { 1 } else { (total / 40).max(1) };
            let mut healed = 0;
            for place in (0..total).step_by(step as usize) {
                let relay = Relay::start(serving.address(), place).await.expect("a relay");
                relay.break_after(towards, place, Break::Reset);
                // Before there was a link, there is nothing to go on with.
                if let Some(seen) = session(&site, &relay, &on_terminal(&mark, SESSION)).await {
                    assert_eq!(
                        seen.escape_ascii().to_string(),
                        expected.escape_ascii().to_string(),
                        "{towards:?} {place}"
                    );
                    healed += 1;
                }
            }
            assert!(healed > 10, "{healed} sessions went on");
        }
    });
}

#[test]
fn it_survives_the_death_of_its_server() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let daemon = Daemon::start(&site);
        let address = daemon.address();
        let client = site.connect(address).await;
        let mut session = Session::start(&client, &on_terminal(&mark, &in_bash(super::TYPED_OR_RESIZED))).await;
        session.until("ready").await;
        session.running.resize(unglue::TerminalSize::new(30, 90)).await.expect("sent");
        session.until("30 90").await;
        let mut state = session.running.link_state().expect("it outlives its link");
        daemon.kill();
        soon(10, "the loss", state.wait_for(|state| matches!(state, LinkState::Lost(..)))).await.expect("noticed");
        session.types("typed meanwhile\r").await;
        let daemon = Daemon::start_at(&site, address);
        soon(20, "the next link", state.wait_for(|state| *state == LinkState::Up)).await.expect("mended");
        let seen = session.until("<typed meanwhile>").await;
        assert!(!seen.contains("ready") && !seen.contains("24 80"), "{seen}");
        session.types("more\r").await;
        session.until("<more>").await;
        drop(daemon);
    });
}

#[test]
fn a_dead_link_is_noticed_within_a_second_and_given_up_at_once() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 3).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        let script = "echo ready; while read line; do echo \"<$line>\"; done";
        let mut session = Session::start(&client, &on_terminal(&mark, script)).await;
        session.until("ready").await;
        soon(1, "an answer", client.ping()).await.expect("it is alive");
        relay.fall_silent();
        session.types("into the void\r").await;
        assert!(tokio::time::timeout(Duration::from_millis(900), client.ping()).await.is_err(), "no answer");
        let mut state = session.running.link_state().expect("it outlives its link");
        // The network is there again, and the connection is not.
        for towards in [Towards::Client, Towards::Server] {
            relay.set_flow(towards, Flow::Open);
        }
        client.renew_link().await;
        soon(2, "the loss", state.wait_for(|state| matches!(state, LinkState::Lost(..)))).await.expect("noticed");
        soon(20, "the next link", state.wait_for(|state| *state == LinkState::Up)).await.expect("mended");
        session.until("<into the void>").await;
        soon(1, "an answer", client.ping()).await.expect("over the next link");
    });
}
