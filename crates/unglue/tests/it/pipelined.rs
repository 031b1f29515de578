//! A thousand commands on one connection, finishing in any order.

use tokio::task::JoinSet;
use unglue::Exec;
use unglue_testkit::Prng;

use crate::site::{Site, code, run, soon, within};

const COMMANDS: usize = 1000;

#[test]
fn a_thousand_pipelined_commands_are_not_mixed_up() {
    within(90, async || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        let mut random = Prng::new(1);
        let mut commands = JoinSet::new();
        for number in 0..COMMANDS {
            let sleep = random.below(200);
            let script = format!("sleep 0.{sleep:03}; echo out {number}; echo err {number} >&2; exit {}", number % 256);
            let client = client.clone();
            commands.spawn(async move { (number, run(&client, &Exec::shell(script)).await) });
        }
        let mut order = Vec::new();
        while let Some(finished) = soon(60, "a command", commands.join_next()).await {
            let (number, done) = finished.expect("no failure");
            assert_eq!(String::from_utf8_lossy(&done.stdout), format!("out {number}\n"));
            assert_eq!(String::from_utf8_lossy(&done.stderr), format!("err {number}\n"));
            assert_eq!(code(&done.report), (number % 256) as i32);
            order.push(number);
        }
        assert_eq!(order.len(), COMMANDS);
        assert!(!order.is_sorted(), "they finished in the order in which they were asked for");
    });
}

#[test]
fn starts_that_nobody_waits_for_leave_nothing_on_the_link() {
    within(120, async || {
        let site = Site::new();
        let serving = site.serve();
        let client = site.connect(serving.address()).await;
        // More than a link has streams: each cancelled start would cost two of them.
        for round in 0..2500 {
            let exec = Exec::new(["true"]);
            let start = client.exec(&exec);
            let _ = tokio::time::timeout(std::time::Duration::from_micros(round % 50), start).await;
        }
        assert_eq!(code(&soon(60, "a start", run(&client, &Exec::new(["true"]))).await.report), 0);
    });
}
