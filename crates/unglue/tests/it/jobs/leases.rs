//! How long a command lives without its client (P5).

use std::time::{Duration, Instant};

use unglue::{Exec, Lease, Outcome};
use unglue_testkit::relay::{Break, Relay};

use crate::daemon::Daemon;
use crate::site::{Site, eventually, run, soon, within};
use crate::tree::Mark;

const ESCAPES: &str = "setsid sleep 300 & (setsid sh -c 'sleep 300 & sleep 300; :' & ) ; sleep 300; :";

#[test]
fn a_kept_tree_is_gone_when_its_time_is_over_even_without_a_server() {
    for kill in [false, true] {
        within(60, async move || {
            let (site, mark) = (Site::new(), Mark::new());
            let daemon = Daemon::start(&site);
            let relay = Relay::start(daemon.address(), 1).await.expect("a relay");
            let client = site.connect(relay.address()).await;
            let exec = mark.on(Exec::shell(ESCAPES)).lease(Lease::Keep(Duration::from_secs(2))).id("kept");
            let running = client.exec(&exec).await.expect("it starts");
            mark.count(6).await;
            tokio::time::sleep(Duration::from_millis(2500)).await;
            assert_eq!(mark.alive().len(), 6, "it lives while it is held");
            let lost = Instant::now();
            let mut daemon = Some(daemon);
            match kill {
                true => daemon.take().into_iter().for_each(Daemon::kill),
                false => drop((running, client)),
            }
            relay.break_all(Break::Reset);
            drop(relay);
            tokio::time::sleep(Duration::from_millis(1200)).await;
            let alive = mark.alive().len();
            assert!(alive == 6 || lost.elapsed() > Duration::from_secs(2), "it lives for a while");
            eventually(10, "the tree is gone", || mark.alive().is_empty()).await;
            let after = lost.elapsed();
            assert!((Duration::from_secs(2)..Duration::from_secs(5)).contains(&after), "{after:?}");
            let daemon = daemon.unwrap_or_else(|| Daemon::start(&site));
            let client = site.connect(daemon.address()).await;
            let outcome = run(&client, &exec).await.report.outcome;
            assert!(matches!(outcome, Outcome::Cancelled(_)), "{outcome:?}");
        });
    }
}

#[test]
fn too_much_output_ends_a_command_under_any_lease() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        for lease in [Lease::Kill, Lease::Keep(Duration::from_secs(5)), Lease::Detach] {
            let exec = mark.on(Exec::new(["yes"])).lease(lease).output_limit(1_000_000);
            let done = soon(20, "the end", run(&client, &exec)).await;
            assert!(
                matches!(&done.report.outcome, Outcome::OutputLimit(limit) if limit.bytes == 1_000_000),
                "{:?}",
                done.report
            );
            assert!(done.stdout.len() >= 1_000_000, "{lease:?}: {} bytes", done.stdout.len());
        }
        mark.gone(Duration::from_secs(2)).await;
    });
}

#[test]
fn signals_timeouts_and_names_reach_a_detached_command() {
    within(60, async || {
        let (site, mark) = (Site::new(), Mark::new());
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let sleeps = |id: &str| mark.on(Exec::new(["sleep", "300"])).lease(Lease::Detach).id(id).name("sleeper");
        let mut running = client.exec(&sleeps("a")).await.expect("it starts");
        let second = run(&client, &sleeps("b")).await.report.outcome;
        assert!(matches!(&second, Outcome::Refused(fault) if fault.what.contains("has this name")), "{second:?}");
        client.signal("sleeper", 15).await.expect("it is sent");
        let outcome = soon(5, "the end", running.outcome()).await.outcome;
        assert_eq!(outcome, Outcome::Ended(unglue::Exit::signalled("SIGTERM", false)));
        assert!(client.signal("sleeper", 15).await.is_err(), "it has ended");
        let timed = sleeps("c").timeout(Duration::from_millis(300));
        let outcome = soon(5, "the timeout", run(&client, &timed)).await.report.outcome;
        assert!(matches!(outcome, Outcome::TimedOut(_)), "{outcome:?}");
    });
}
