//! A server that answers pings and says nothing more: the client doesn't wait for ever, whatever was said before.

use std::time::Duration;

use serde_json::{Value, json};
use unglue_link::{Link, memory};
use unglue_proto::message::exec::Outcome;
use unglue_proto::{Code, Fault};

use crate::ops::Control;
use crate::ops::exec::{Exec, start};

/// What a client makes of a server that sends these messages behind `started`, ends both outputs, and is silent.
fn outcome(exec: Exec, messages: Option<Vec<Value>>) -> Result<Outcome, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (client, server) = memory();
        let serving = tokio::spawn(serve(server, messages));
        let ending = async { Ok(start(&client, &exec).await?.collect(100).await.report.outcome) };
        let ended = tokio::time::timeout(Duration::from_secs(10), ending).await.expect("it ends by itself");
        serving.abort();
        ended
    })
}

async fn serve(link: Link, messages: Option<Vec<Value>>) {
    let Control { mut sender, mut receiver } = Control::new(link.accept().await.expect("an operation"));
    let _: Value = receiver.expect().await.expect("a request");
    if let Some(messages) = messages {
        let stdout = link.open_unidirectional().await.expect("a stream");
        let stderr = link.open_unidirectional().await.expect("a stream");
        let started = json!({"started": {"pid": 1, "stdout": stdout.number(), "stderr": stderr.number()}});
        for message in [started].into_iter().chain(messages) {
            sender.send(&message).await.expect("it is sent");
        }
        stdout.finish();
        stderr.finish();
    }
    // Its streams stay open, and the link answers pings.
    link.ended().await;
    drop((sender, receiver));
}

fn is_silence(fault: &Fault, what: &str) -> bool {
    fault.code == Code::TimedOut && fault.what.contains("did not say within") && fault.what.contains(what)
}

#[test]
fn a_server_that_never_starts_the_command_is_not_waited_for() {
    let fault = outcome(Exec::new(["true"]), None).expect_err("it never started");
    assert!(is_silence(&fault, "whether the command started"), "{fault}");
}

#[test]
fn an_exit_without_an_outcome_is_not_waited_for() {
    let exited = vec![json!({"exited": {"exited": 0}})];
    let outcome = outcome(Exec::new(["true"]), Some(exited)).expect("it started");
    let Outcome::Failed(fault) = &outcome else { panic!("{outcome:?}") };
    assert!(is_silence(fault, "though it has exited"), "{fault}");
}

#[test]
fn a_timeout_is_enforced_by_the_client_too() {
    let exec = Exec::new(["true"]).timeout(Duration::from_millis(100));
    let outcome = outcome(exec, Some(vec![])).expect("it started");
    let Outcome::Failed(fault) = &outcome else { panic!("{outcome:?}") };
    assert!(is_silence(fault, "though its timeout has passed"), "{fault}");
}
