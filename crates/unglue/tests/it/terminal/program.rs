//! What a program on a terminal sees.

use std::fs;
use std::time::Duration;

use unglue::{AttachOptions, Code, Exec, Lease, Outcome, StreamEnd, TerminalSize};

use super::{SIZE, Session, on_terminal};
use crate::site::{Site, code, eventually, run, soon, within};
use crate::tree::{self, Mark};

/// Says that it was interrupted, and ends with 7.
const INTERRUPTIBLE: &str = "trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 0.05; done";

#[test]
fn every_byte_is_typed_and_shown() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let script = "stty raw -echo; printf ready; head -c 100000; printf done";
        for lease in [Lease::Keep(Duration::from_secs(60)), Lease::Kill] {
            let mut session = Session::start(&client, &on_terminal(&mark, script).lease(lease)).await;
            session.until("ready").await;
            for piece in all.chunks(5000) {
                session.types(piece).await;
            }
            let (report, seen) = session.rest().await;
            assert_eq!(code(&report), 0, "{report:?}");
            assert!(seen == [&all[..], b"done"].concat(), "{} bytes", seen.len());
            assert!(report.stderr.is_none());
        }
    });
}

#[test]
fn its_size_is_the_holders_and_changes_with_it() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let script = "stty size; trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done";
        let mut session = Session::start(&client, &on_terminal(&mark, script)).await;
        assert_eq!(session.running.terminal(), Some(SIZE));
        session.until("24 80\r\n").await;
        session.until("ready").await;
        session.running.resize(TerminalSize::new(50, 132)).await.expect("sent");
        session.until("50 132\r\n").await;
        session.running.resize(TerminalSize::new(1, 1)).await.expect("sent");
        session.until("1 1\r\n").await;
    });
}

/// Waits until `sleep 100` runs in its terminal's foreground (proc_pid_stat(5): the state, the group, the terminal's group).
async fn in_front(mark: &Mark) {
    let is_in_front = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap_or_default().1.split_ascii_whitespace().collect();
        let sleeps = tree::command_line(pid) == b"sleep\x00100\x00";
        sleeps && matches!(fields[..], [state, _, group, _, _, front, ..] if state != "T" && group == front)
    };
    eventually(10, "sleep is in the foreground", || mark.alive().into_iter().any(is_in_front)).await;
}

#[test]
fn keys_interrupt_stop_and_end_what_is_in_the_foreground() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let mut session = Session::start(&client, &on_terminal(&mark, INTERRUPTIBLE)).await;
        session.until("ready").await;
        session.types(b"\x03").await;
        let (report, seen) = session.rest().await;
        assert_eq!((code(&report), &seen[..]), (7, &b"\r\n^Ccaught\r\n"[..]));

        // A shell with jobs: Ctrl-Z stops, fg goes on, a signal goes to the foreground, Ctrl-D ends it.
        let bash = mark.on(Exec::new(["bash", "--norc", "--noprofile", "-i"])).terminal(SIZE).env("PS1", "$ ");
        let mut session = Session::start(&client, &bash.env("TERM", "dumb")).await;
        session.until("$ ").await;
        session.types("sleep 100\r").await;
        session.until("sleep 100\r\n").await;
        in_front(&mark).await;
        session.types(b"\x1a").await;
        session.until("Stopped").await;
        session.until("$ ").await;
        session.types("fg\r").await;
        session.until("sleep 100\r\n").await;
        in_front(&mark).await;
        session.running.signal(15).await.expect("sent");
        session.until("Terminated").await;
        session.types("exit 5\r").await;
        let (report, _) = session.rest().await;
        assert_eq!(code(&report), 5, "{report:?}");
    });
}

#[test]
fn an_end_of_input_is_typed() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let mut session = Session::start(&client, &on_terminal(&mark, "cat; echo over")).await;
        session.types("a line\n").await;
        session.input.take().expect("an input").finish();
        let (report, seen) = session.rest().await;
        assert_eq!(code(&report), 0);
        assert!(String::from_utf8_lossy(&seen).ends_with("a line\r\nover\r\n"), "{seen:?}");
        assert_eq!(report.stdin.map(|stream| (stream.tally.bytes, stream.end)), Some((7, StreamEnd::Eof)));
    });
}

#[test]
fn what_is_typed_and_not_read_holds_up_nothing_that_is_shown() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let script = "stty raw -echo; echo ready; sleep 0.3; seq 20000; head -c 1000000 | wc -c; echo over";
        let mut session = Session::start(&client, &on_terminal(&mark, script)).await;
        session.until("ready").await;
        let mut input = session.input.take().expect("an input");
        let typing = async {
            input.write_all(vec![b'x'; 1_000_000].into()).await.expect("it is taken");
        };
        let showing = async {
            session.until("20000\n").await;
            session.until("1000000\n").await;
            session.until("over").await;
        };
        tokio::join!(typing, showing);
    });
}

#[test]
fn the_login_shell_is_started_as_a_login_starts_it() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let shell = mark.on(Exec::login_shell()).terminal(SIZE).env("TERM", "dumb");
        let mut session = Session::start(&client, &shell).await;
        session.types("echo \"name <$0> $(tty) $(ps -o tpgid= -o pgid= -p $$)\"; exit 3\r").await;
        session.until("name <-").await;
        let line = session.until("\r\n").await;
        assert!(line.contains("> /dev/pts/"), "{line}");
        let listed = client.jobs(None).await.expect("a list");
        assert_eq!(listed[0].command, [unglue::Octets::from("login-shell")]);
        let (report, _) = session.rest().await;
        assert_eq!(code(&report), 3, "{report:?}");
        let done = run(&client, &Exec::login_shell()).await;
        assert!(matches!(done.report.outcome, Outcome::Refused(_)), "without a terminal: {:?}", done.report);
    });
}

#[test]
fn nothing_that_was_printed_last_is_lost() {
    within(120, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        for round in 0..20 {
            let lines = 100 + round * 300;
            let session = Session::start(&client, &on_terminal(&mark, &format!("seq {lines}"))).await;
            let (report, seen) = session.rest().await;
            let expected: String = (1..=lines).map(|number| format!("{number}\r\n")).collect();
            assert!(seen == expected.as_bytes(), "{} of {} bytes", seen.len(), expected.len());
            assert_eq!((code(&report), report.stdout.map(|stream| stream.end)), (0, Some(StreamEnd::Eof)));
        }
        // A program that closes the terminal and opens it again has not ended.
        let script = "exec </dev/null >/dev/null 2>&1; sleep 0.3; echo again >/dev/tty";
        let (_, seen) = Session::start(&client, &on_terminal(&mark, script)).await.rest().await;
        assert_eq!(seen, b"again\r\n");
        // What a program in the background holds open ends with the command.
        let script = "trap '' HUP; sleep 100 & echo over";
        let (report, seen) = Session::start(&client, &on_terminal(&mark, script)).await.rest().await;
        assert_eq!((code(&report), &seen[..]), (0, &b"over\r\n"[..]));
        assert_eq!(report.stdout.map(|stream| stream.end), Some(StreamEnd::HeldOpen));
        eventually(5, "nothing is left", || mark.alive().is_empty()).await;
    });
}

#[test]
fn no_other_program_has_a_descriptor_of_it() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let script = "ls -l /proc/self/fd | grep -c '[0-9] -> /dev/p'; echo ready; read line";
        let mut session = Session::start(&client, &on_terminal(&mark, script)).await;
        // ls itself has the terminal twice: its output is a pipe.
        session.until("2\r\nready").await;
        for lease in [Lease::Kill, Lease::Keep(Duration::from_secs(10))] {
            let done = run(&client, &Exec::shell("ls -l /proc/self/fd | grep -e pts -e ptmx; :").lease(lease)).await;
            assert_eq!(String::from_utf8_lossy(&done.stdout), "");
        }
        let mut other = Session::start(&client, &on_terminal(&mark, "readlink /proc/self/fd/*; echo ready")).await;
        let links = other.until("ready").await;
        let ours = links.lines().filter(|line| line.starts_with("/dev/pt")).collect::<Vec<_>>();
        assert!(ours.len() == 3 && ours.iter().all(|link| *link == ours[0]), "{links}");
    });
}

#[test]
fn a_terminal_whose_client_goes_is_hung_up() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let script = "trap 'echo hup > gone; exit 1' HUP; echo ready; while :; do sleep 0.05; done";
        for (id, lease) in [("kill", Lease::Kill), ("keep", Lease::Keep(Duration::from_secs(1)))] {
            let client = site.connect(serving.address()).await;
            let mut session = Session::start(&client, &on_terminal(&mark, script).lease(lease).id(id)).await;
            session.until("ready").await;
            drop((session, client));
            let gone = site.root().join("gone");
            eventually(10, "it gets SIGHUP", || gone.exists()).await;
            eventually(10, "nothing is left", || mark.alive().is_empty()).await;
            fs::remove_file(gone).expect("removed");
            let client = site.connect(serving.address()).await;
            let options = AttachOptions::default().from_start();
            let report = client.attach(id, &options).await.expect("a job").collect(1000).await.report;
            let Outcome::Cancelled(fault) = &report.outcome else { panic!("{report:?}") };
            assert_eq!(fault.code, Code::Cancelled);
        }
        // One that ignores it is killed.
        let client = site.connect(serving.address()).await;
        let script = "trap '' HUP; echo ready; while :; do sleep 0.05; done";
        let mut session = Session::start(&client, &on_terminal(&mark, script).lease(Lease::Kill)).await;
        session.until("ready").await;
        drop((session, client));
        eventually(10, "nothing is left", || mark.alive().is_empty()).await;
    });
}

#[test]
fn a_key_that_allows_no_terminal_gets_none() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        site.authorise(&format!("no-pty {}\n", site.key.public_key()));
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        for exec in [mark.on(Exec::login_shell()).terminal(SIZE), on_terminal(&mark, "echo no")] {
            let mut refused = soon(10, "an answer", client.exec(&exec)).await.expect("an answer");
            let outcome = refused.outcome().await.outcome;
            assert!(matches!(&outcome, Outcome::Refused(fault) if fault.code == Code::NotAllowed), "{outcome:?}");
        }
        assert_eq!(code(&run(&client, &Exec::new(["true"])).await.report), 0);
        // It may watch a terminal of another key, and not type on it.
        site.authorise(&format!("{}\n", site.key.public_key()));
        let free = site.connect(serving.address()).await;
        let mut session = Session::start(&free, &on_terminal(&mark, "echo ready; read line").id("shell")).await;
        session.until("ready").await;
        site.authorise(&format!("restrict {}\n", site.key.public_key()));
        let client = site.connect(serving.address()).await;
        let mut refused =
            client.attach("shell", &AttachOptions::default().take().screen(SIZE)).await.expect("an answer");
        let outcome = refused.outcome().await.outcome;
        assert!(matches!(&outcome, Outcome::Refused(fault) if fault.code == Code::NotAllowed), "{outcome:?}");
    });
}
