//! A command is found again, with every byte.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use unglue::{AttachOptions, Code, Exec, JobState, LinkState, Outcome};
use unglue_testkit::relay::{Break, Relay, Towards};

use super::{detached, kept, let_go};
use crate::daemon::Daemon;
use crate::site::{Site, code, soon, within};
use crate::tree::Mark;

#[test]
fn a_detached_command_survives_its_client_and_its_server() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let daemon = Daemon::start(&site);
        let client = site.connect(daemon.address()).await;
        let_go(&client, &detached(&mark, "build").name("nightly")).await;
        drop(client);
        let address = daemon.address();
        daemon.kill();
        let daemon = Daemon::start_at(&site, address);
        let client = site.connect(daemon.address()).await;
        let listed = client.jobs(None).await.expect("a list");
        assert_eq!((listed.len(), listed[0].id.as_str(), &listed[0].state), (1, "build", &JobState::Running));
        let attached = client.attach("nightly", &AttachOptions::default().from_start()).await.expect("a job");
        fs::write(site.root().join("go"), "").expect("written");
        let done = soon(10, "the end", attached.collect(1 << 20)).await;
        assert_eq!((code(&done.report), &done.stdout[..]), (3, &b"one\ntwo\n"[..]));
        let listed = client.jobs(Some("build")).await.expect("a list");
        assert_eq!((&listed[0].state, listed[0].stdout), (&JobState::Ended, 8));
        // Ended jobs are there after another restart.
        let address = daemon.address();
        daemon.kill();
        let daemon = Daemon::start_at(&site, address);
        let client = site.connect(daemon.address()).await;
        let logs = AttachOptions::default().stdout_from(4).without_stderr().without_waiting();
        let attached = client.attach("build", &logs).await.expect("a job");
        assert_eq!(attached.collect(1 << 20).await.stdout, b"two\n");
    });
}

#[test]
fn a_command_goes_on_over_the_next_link_with_every_byte() {
    within(120, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 7).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        let script = "for n in $(seq 40); do yes out$n | head -c 100000; yes err$n | head -c 50000 >&2; sleep 0.05; done; until [ -e go ]; do sleep 0.02; done; exit 5";
        let running = client.exec(&kept(&mark, script)).await.expect("it starts");
        let mut state = running.link_state().expect("it outlives its link");
        let cutting = async {
            for _ in 0..4 {
                tokio::time::sleep(Duration::from_millis(400)).await;
                relay.break_all(Break::Reset);
                state.wait_for(|state| matches!(state, LinkState::Lost(..))).await.expect("it is noticed");
                state.wait_for(|state| *state == LinkState::Up).await.expect("it is mended");
            }
            fs::write(site.root().join("go"), "").expect("written");
        };
        let (done, ()) = tokio::join!(soon(90, "the end", running.collect(64 << 20)), cutting);
        assert_eq!(code(&done.report), 5, "{:?}", done.report);
        assert_eq!((done.stdout.len(), done.stderr.len()), (4_000_000, 2_000_000));
        let expected: Vec<u8> =
            (1..=40).flat_map(|n| format!("out{n}\n").into_bytes().into_iter().cycle().take(100_000)).collect();
        assert!(done.stdout == expected, "every byte in its place");
    });
}

#[test]
fn an_input_is_given_once_over_any_number_of_links() {
    within(120, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 9).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        let mut running = client.exec(&kept(&mark, "cat").with_stdin()).await.expect("it starts");
        let mut input = running.stdin.take().expect("an input");
        let data: Vec<u8> = (0..3_000_000u32).map(|n| (n * 7 % 251) as u8).collect();
        let sent = Bytes::from(data.clone());
        let feeding = async {
            for (number, piece) in (0..sent.len()).step_by(20_000).enumerate() {
                input.write_all(sent.slice(piece..(piece + 20_000).min(sent.len()))).await.expect("it is taken");
                if number % 40 == 20 {
                    relay.break_all(Break::Reset);
                }
            }
            input.finish();
        };
        let (done, ()) = tokio::join!(soon(100, "the end", running.collect(64 << 20)), feeding);
        assert_eq!(code(&done.report), 0, "{:?}", done.report);
        assert!(done.stdout == data, "{} bytes", done.stdout.len());
    });
}

#[test]
fn many_watch_and_one_holds() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let exec = mark.on(Exec::new(["cat"])).with_stdin().lease(unglue::Lease::Detach).id("cat");
        let mut first = client.exec(&exec).await.expect("it starts");
        let mut input = first.stdin.take().expect("an input");
        input.write_all("from the first\n".into()).await.expect("it is taken");
        let mut watchers = Vec::new();
        for _ in 0..20 {
            let other = site.connect(serving.address()).await;
            watchers.push(other.attach("cat", &AttachOptions::default().from_start()).await.expect("a job"));
        }
        let mut refused = client.attach("cat", &AttachOptions::default().hold()).await.expect("an answer");
        let outcome = refused.outcome().await.outcome;
        assert!(matches!(&outcome, Outcome::Refused(fault) if fault.code == Code::Held), "{outcome:?}");
        let mut second = client.attach("cat", &AttachOptions::default().take()).await.expect("a job");
        let replaced = soon(5, "the first is told", first.outcome()).await.outcome;
        assert!(matches!(&replaced, Outcome::Cancelled(fault) if fault.code == Code::Held), "{replaced:?}");
        let mut input = second.stdin.take().expect("an input");
        input.write_all("from the second\n".into()).await.expect("it is taken");
        input.finish();
        for watcher in watchers {
            let done = soon(10, "a watcher's end", watcher.collect(1 << 20)).await;
            assert_eq!((code(&done.report), &done.stdout[..]), (0, &b"from the first\nfrom the second\n"[..]));
        }
    });
}

/// The link is cut behind every so many bytes of the server's: the outcome and the output are the same.
#[test]
fn a_cut_at_any_byte_changes_nothing() {
    within(300, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 3).await.expect("a relay");
        let step = if crate::soaking() { 1 } else { 97 };
        for towards in [Towards::Client, Towards::Server] {
            let client = site.connect(relay.address()).await;
            let before = relay.carried(towards);
            let exec = || kept(&mark, "cat; echo done >&2; exit 9").with_stdin();
            one(&client, &exec()).await;
            let whole = relay.carried(towards) - before;
            for at in (0..whole + 2000).step_by(step) {
                relay.break_after(towards, at, Break::Reset);
                let address = crate::site::address_of(relay.address());
                // The first connection itself is not the client's to mend.
                let Ok(client) = unglue::Client::connect(&address, &site.client_options()).await else { continue };
                if client.welcome().await.is_err() {
                    continue;
                }
                one(&client, &exec()).await;
            }
        }
    });
}

async fn one(client: &unglue::Client, exec: &Exec) {
    let mut running = client.exec(exec).await.expect("it starts");
    let mut input = running.stdin.take().expect("an input");
    input.write_all("hello, world\n".into()).await.expect("it is taken");
    input.finish();
    let done = soon(30, "the end", running.collect(1 << 20)).await;
    assert_eq!(code(&done.report), 9, "{:?}", done.report);
    assert_eq!((&done.stdout[..], &done.stderr[..]), (&b"hello, world\n"[..], &b"done\n"[..]));
}

/// A server that is asked to stop doesn't wait for what can go on without it.
#[test]
fn a_command_goes_on_while_its_server_is_replaced() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let address = serving.address();
        let client = site.connect(address).await;
        let running = client.exec(&kept(&mark, "echo one; until [ -e go ]; do sleep 0.02; done; echo two")).await;
        let running = running.expect("it starts");
        serving.server().leave();
        soon(5, "the server's end", serving.join()).await;
        let next = site.serve_with(|options| options.listen = vec![address.to_string()]);
        fs::write(site.root().join("go"), "").expect("written");
        let done = soon(20, "the end", running.collect(1 << 20)).await;
        assert_eq!((code(&done.report), &done.stdout[..]), (0, &b"one\ntwo\n"[..]));
        drop(next);
    });
}
