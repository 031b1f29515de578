//! How much is kept, and how much is on its way.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use unglue::{AttachOptions, Exec, Lease};
use unglue_testkit::relay::Relay;

use super::{SIZE, Session, on_terminal};
use crate::daemon::Daemon;
use crate::site::{Site, eventually, within};
use crate::tree::{self, Mark};

/// Prints a hundred megabytes, and says when it was interrupted.
const FLOOD: &str =
    "trap 'echo; echo interrupted; exit 4' INT; echo ready; head -c 100000000 /dev/zero | tr '\\0' x; sleep 100";

/// A person's terminal shows some megabytes a second: what is on its way to it when they interrupt must be little.
#[test]
fn a_flood_is_interrupted_at_once() {
    within(120, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 1).await.expect("a relay");
        for lease in [Lease::Keep(Duration::from_secs(20)), Lease::Kill] {
            let client = site.connect(relay.address()).await;
            let mut session = Session::start(&client, &on_terminal(&mark, FLOOD).lease(lease)).await;
            session.until("ready").await;
            let start = Instant::now();
            let mut pace = Pace::new();
            let mut interrupted = None;
            let mut behind = 0;
            loop {
                let data = session.output.read(16_384).await.expect("output").expect("it goes on");
                pace.show(data.len()).await;
                if interrupted.is_some() {
                    behind += data.len();
                }
                if data.windows(11).any(|window| window == b"interrupted") {
                    break;
                }
                if interrupted.is_none() && start.elapsed() > Duration::from_secs(2) {
                    session.types(b"\x03").await;
                    interrupted = Some(Instant::now());
                }
            }
            let after = interrupted.expect("it was interrupted").elapsed();
            println!("{behind} bytes were shown after the interrupt, for {after:?}");
            assert!(behind < 500_000, "{behind} bytes were shown after the interrupt, for {after:?}");
        }
    });
}

/// A terminal that shows five megabytes a second.
struct Pace {
    start: Instant,
    shown: u64,
}

impl Pace {
    fn new() -> Pace {
        Pace { start: Instant::now(), shown: 0 }
    }

    async fn show(&mut self, bytes: usize) {
        self.shown += bytes as u64;
        let due = Duration::from_nanos(self.shown * 200);
        tokio::time::sleep(due.saturating_sub(self.start.elapsed())).await;
    }
}

#[test]
fn a_flood_that_nobody_watches_is_not_kept_and_does_not_stall() {
    within(300, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let script = r"printf '\033]2;titled\007\033[?2004hready'; read line; head -c 20000000 /dev/zero | tr '\0' x; printf '\r\nall printed\r\n'; read line; echo over";
        let exec = on_terminal(&mark, script).lease(Lease::Detach).id("flood");
        let mut session = Session::start(&client, &exec).await;
        session.until("ready").await;
        let slow = client.attach("flood", &AttachOptions::default().from_start()).await.expect("a job");
        session.types("\r").await;
        // It has arrived when it is shown.
        session.until("\r\n").await;
        drop(session);
        let printed = async || client.jobs(Some("flood")).await.expect("a list")[0].stdout > 20_000_000;
        let start = Instant::now();
        while !printed().await {
            assert!(start.elapsed() < Duration::from_secs(60), "it stalls");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let spool = spool(&site);
        eventually(120, "what is old is dropped", || fs::metadata(&spool).expect("a spool").blocks() * 512 < 9 << 20)
            .await;
        // What was before is gone, and its effect is not.
        let options = AttachOptions::default().take().screen(SIZE);
        let mut late = Session::of(client.attach("flood", &options).await.expect("a job")).await;
        let picture = late.until("all printed").await;
        assert!(picture.len() > 100_000, "there is a scrollback of {} bytes", picture.len());
        late.types("\r").await;
        let after = late.until("over").await;
        assert!(after.contains("\x1b]2;titled\x07") && after.contains("\x1b[?2004h"), "{after:?}");
        // A watcher that has read nothing all the time is shown what is kept.
        let (report, seen) = Session::of(slow).await.rest().await;
        assert!(matches!(report.outcome, unglue::Outcome::Ended(_)), "{report:?}");
        assert!(seen.len() < 14 << 20 && String::from_utf8_lossy(&seen).contains("all printed"), "{}", seen.len());
        // One that asks for what is gone gets a picture, too.
        let whole = client.attach("flood", &AttachOptions::default().from_start()).await.expect("a job");
        let (report, seen) = Session::of(whole).await.rest().await;
        assert!(matches!(report.outcome, unglue::Outcome::Ended(_)), "{report:?}");
        assert!(seen.len() < 12 << 20 && String::from_utf8_lossy(&seen).contains("all printed"), "{}", seen.len());
    });
}

fn spool(site: &Site) -> std::path::PathBuf {
    let mut found = Vec::new();
    let mut directories = vec![site.path("state")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry")) {
            match entry.file_type().expect("a type").is_dir() {
                true => directories.push(entry.path()),
                false if entry.file_name() == "stdout" => found.push(entry.path()),
                false => {}
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Two mebibytes for an idle shell on the server: its keeper, what the server has for it, its screen included.
#[test]
fn an_idle_shell_takes_little_memory() {
    within(120, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let daemon = Daemon::start(&site);
        let client = site.connect(daemon.address()).await;
        let shell = || mark.on(Exec::new(["sh", "-i"])).terminal(SIZE).env("PS1", "prompt ").env("TERM", "dumb");
        let open = async |number: usize| {
            let exec = shell().lease(Lease::Detach).id(format!("shell {number}"));
            let mut session = Session::start(&client, &exec).await;
            session.until("prompt ").await;
            session.types("seq 1000\r").await;
            session.until("1000\r\nprompt ").await;
            session
        };
        // What the first ones cost once.
        let first = [open(0).await, open(1).await];
        let before = pss(&daemon);
        const SHELLS: usize = 8;
        let mut sessions = Vec::new();
        for number in 0..SHELLS {
            sessions.push(open(2 + number).await);
        }
        let each = (pss(&daemon) - before) / SHELLS as u64;
        println!("an idle shell takes {} KiB, besides the shell's own process", each / 1024);
        assert!(each < 2 << 20, "{each} bytes");
        drop((first, sessions));
    });
}

/// The memory of the server and its helpers, in bytes; what several share is divided among them.
fn pss(daemon: &Daemon) -> u64 {
    let helper = |pid: &i32| tree::command_line(*pid).starts_with(b"unglue\0");
    let server = daemon.pid();
    let of = |pid: i32| {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    tree::descendants(server).into_iter().filter(helper).chain([server]).map(of).sum()
}
