//! What a client sees that attaches late.

use std::time::Duration;

use unglue::{AttachOptions, Code, Exec, Lease, Outcome, TerminalSize};

use super::{SIZE, Session, in_bash, on_terminal};
use crate::daemon::Daemon;
use crate::site::{Site, code, soon, within};
use crate::tree::Mark;

fn screen() -> AttachOptions {
    AttachOptions::default().screen(SIZE)
}

#[test]
fn it_sees_the_scrollback_the_screen_and_the_modes_and_goes_on_from_there() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let script = r"seq 100; printf '\033]2;a title\007\033[?2004h\033[?1049h\033[3;4Hon the other screen\033[c\033[6n\033]52;c;eA==\007ready'; read line; echo $line; read line";
        let mut session = Session::start(&client, &on_terminal(&mark, script).id("shell")).await;
        session.until("ready").await;
        let mut watcher = Session::of(client.attach("shell", &screen()).await.expect("a job")).await;
        assert_eq!(watcher.running.terminal(), Some(SIZE));
        let picture = watcher.until("ready").await;
        let in_order = ["1\r\n2\r\n3\r\n", "\r\n99", "\r\n100", "\x1b[?1047h", "on the other screen"];
        let mut rest = &picture[..];
        for text in in_order {
            let Some((_, after)) = rest.split_once(text) else { panic!("no {text:?} in {rest:?}") };
            rest = after;
        }
        session.types("typed\r").await;
        let after = watcher.until("typed\r\ntyped\r\n").await;
        assert!(after.contains("\x1b]2;a title\x07") && after.contains("\x1b[?2004h"), "{after:?}");
        for query in ["\x1b[c", "\x1b[6n", "]52"] {
            assert!(!format!("{picture}{after}").contains(query), "{query:?} is not repeated");
        }
        session.types("\r").await;
        let (report, _) = watcher.rest().await;
        assert_eq!(code(&report), 0, "{report:?}");
        drop(session);
        // It can be looked at when it has ended.
        let mut late = Session::of(client.attach("shell", &screen()).await.expect("a job")).await;
        late.until("on the other screen").await;
        assert_eq!(code(&late.rest().await.0), 0);
    });
}

#[test]
fn several_watch_one_types_and_who_takes_it_over_gives_it_their_size() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let script = super::TYPED_OR_RESIZED;
        let mut first = Session::start(&client, &on_terminal(&mark, &in_bash(script)).id("shell")).await;
        first.until("ready").await;
        let small = TerminalSize::new(10, 40);
        let other = site.connect(serving.address()).await;
        let watching = other.attach("shell", &AttachOptions::default().screen(small)).await.expect("a job");
        let mut watcher = Session::of(watching).await;
        assert_eq!(watcher.running.terminal(), Some(SIZE), "a watcher changes nothing");
        watcher.running.resize(small).await.expect("sent");
        first.types("one\r").await;
        watcher.until("<one>").await;
        let seen = first.until("<one>").await;
        assert!(!seen.contains("10 40"), "{seen}");
        let mut refused =
            other.attach("shell", &AttachOptions::default().hold().screen(small)).await.expect("an answer");
        let outcome = refused.outcome().await.outcome;
        assert!(matches!(&outcome, Outcome::Refused(fault) if fault.code == Code::Held), "{outcome:?}");
        let taken = other.attach("shell", &AttachOptions::default().take().screen(small)).await.expect("a job");
        let mut second = Session::of(taken).await;
        assert_eq!(second.running.terminal(), Some(small));
        watcher.until("10 40\r\n").await;
        let replaced = soon(5, "the first is told", first.running.outcome()).await.outcome;
        assert!(matches!(&replaced, Outcome::Cancelled(fault) if fault.code == Code::Held), "{replaced:?}");
        second.types("two\r").await;
        second.until("<two>").await;
        watcher.until("<two>").await;
    });
}

#[test]
fn any_number_attach_and_detach() {
    let times = if crate::soaking() { 1000 } else { 60 };
    within(300, async move || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let exec = on_terminal(&mark, "echo ready; while read line; do echo \"<$line>\"; done").id("shell");
        let mut session = Session::start(&client, &exec.lease(Lease::Detach)).await;
        session.until("ready").await;
        drop(session);
        for time in 0..times {
            let options = if time % 3 == 0 { screen() } else { screen().take() };
            let mut attached = Session::of(client.attach("shell", &options).await.expect("a job")).await;
            attached.until("ready").await;
            if time % 3 > 0 {
                attached.types(format!("{time}\r")).await;
                attached.until(&format!("<{time}>")).await;
            }
            drop(attached.input);
            attached.running.detach();
        }
        assert!(client.jobs(Some("shell")).await.expect("a list")[0].outcome.is_none(), "it runs on");
        client.signal("shell", 9).await.expect("sent");
    });
}

#[test]
fn a_program_that_ended_while_nobody_was_there_is_found_with_its_outcome() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let daemon = Daemon::start(&site);
        let client = site.connect(daemon.address()).await;
        let script = "echo ready; read line; echo last words; exit 9";
        let exec = on_terminal(&mark, script).lease(Lease::Detach).id("shell");
        let mut session = Session::start(&client, &exec).await;
        session.until("ready").await;
        session.types("\r").await;
        // It has arrived when it is shown.
        session.until("\r\n\r\n").await;
        drop((session, client));
        let address = daemon.address();
        tokio::time::sleep(Duration::from_millis(300)).await;
        daemon.kill();
        let daemon = Daemon::start_at(&site, address);
        let client = site.connect(daemon.address()).await;
        let (report, seen) = Session::of(client.attach("shell", &screen()).await.expect("a job")).await.rest().await;
        assert_eq!(code(&report), 9);
        assert!(String::from_utf8_lossy(&seen).contains("last words"), "{seen:?}");
    });
}

#[test]
fn a_command_without_a_terminal_is_attached_to_as_ever() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let exec = mark.on(Exec::shell("echo out; echo err >&2")).lease(Lease::Detach).id("plain");
        assert_eq!(code(&client.exec(&exec).await.expect("it starts").collect(100).await.report), 0);
        let attached = client.attach("plain", &screen().from_start()).await.expect("a job");
        assert_eq!(attached.terminal(), None);
        let done = attached.collect(100).await;
        assert_eq!((&done.stdout[..], &done.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    });
}
