//! A gigabyte that nobody reads delays nothing else (P4) and costs the server nothing (P6).

use std::time::{Duration, Instant};

use unglue::{Exec, Exit, Outcome, StreamEnd};

use crate::daemon::Daemon;
use crate::site::{Site, code, run, soon, within};

/// What the server may need for two commands, one of which nobody reads, in bytes.
const GROWTH: u64 = 8 << 20;

#[test]
fn an_unread_gigabyte_holds_up_nothing_and_is_held_nowhere() {
    within(60, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let client = site.connect(daemon.address()).await;
        // Whatever is made once has been made.
        run(&client, &Exec::shell("head -c 10M /dev/zero")).await;
        let before = daemon.memory();

        let script = "echo begun >&2; head -c 1G /dev/zero; exit 3";
        let mut flood = client.exec(&Exec::shell(script)).await.expect("it starts");
        let stderr = flood.stderr.as_mut().expect("it runs").read(100).await.expect("no error");
        assert_eq!(stderr.as_deref(), Some(b"begun\n".as_slice()), "an unread stream holds up the other");
        tokio::time::sleep(Duration::from_secs(1)).await;

        let start = Instant::now();
        let other = soon(5, "another command", run(&client, &Exec::shell("echo hi; exit 4"))).await;
        assert_eq!((code(&other.report), other.stdout.as_slice()), (4, b"hi\n".as_slice()));
        let mut sleeper = client.exec(&Exec::new(["sleep", "100"])).await.expect("it starts");
        sleeper.signal(15).await.expect("it is sent");
        let exit = soon(5, "a signal to another command", sleeper.exited()).await;
        assert_eq!(exit, Some(Exit::signalled("SIGTERM", false)));
        let took = start.elapsed();
        assert!(took < Duration::from_secs(2), "the others took {took:?}");
        let grown = daemon.memory().saturating_sub(before);
        assert!(grown <= GROWTH, "the server's memory grew by {grown} bytes");

        // The flood's own status and signals pass its unread output, too.
        flood.signal(9).await.expect("it is sent");
        let exit = soon(5, "the flood's exit", flood.exited()).await;
        assert_eq!(exit, Some(Exit::signalled("SIGKILL", false)));
        let report = soon(5, "the flood's outcome", flood.outcome()).await;
        assert!(matches!(report.outcome, Outcome::Ended(Exit::Signalled { .. })), "{report:?}");
        assert_eq!(report.stdout.expect("it ran").end, StreamEnd::Abandoned);
    });
}
