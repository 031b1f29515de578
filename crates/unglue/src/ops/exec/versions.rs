//! A client with a server of a later version: what it doesn't know it ignores, or reports as it came.

use std::time::Duration;

use serde_json::{Value, json};
use unglue_link::{Link, memory};
use unglue_proto::message::exec::{Exit, Left, Outcome, StreamEnd};
use unglue_proto::{Code, Meter};

use crate::ops::Control;
use crate::ops::exec::{Collected, Exec, start};

/// Runs a command on a server that answers with these messages behind `started`, and prints `hi`.
fn collected(before: Vec<Value>, after: Vec<Value>) -> Collected {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (client, server) = memory();
        let serving = tokio::spawn(serve(server, before, after));
        let running = start(&client, &Exec::new(["echo", "hi"])).await.expect("it starts");
        let done = tokio::time::timeout(Duration::from_secs(5), running.collect(100)).await.expect("it ends");
        drop(client);
        serving.await.expect("the server's half");
        done
    })
}

async fn serve(link: Link, before: Vec<Value>, after: Vec<Value>) {
    let Control { mut sender, mut receiver } = Control::new(link.accept().await.expect("an operation"));
    let request: Value = receiver.expect().await.expect("a request");
    assert_eq!(request["exec"]["argv"], json!(["echo", "hi"]));
    let mut stdout = link.open_unidirectional().await.expect("a stream");
    let stderr = link.open_unidirectional().await.expect("a stream");
    let started = json!({"started": {"pid": 1, "stdout": stdout.number(), "stderr": stderr.number(), "host": "later"}});
    for message in before.into_iter().chain([started]).chain(after) {
        sender.send(&message).await.expect("it is sent");
    }
    stdout.write_all("hi\n".into()).await.expect("it is sent");
    stdout.finish();
    stderr.finish();
    sender.finish();
    link.ended().await;
}

fn stream(data: &[u8], end: &str) -> Value {
    let mut meter = Meter::default();
    meter.pass(data);
    json!({"bytes": data.len(), "blake3": meter.tally().blake3, "end": end, "lines": 1})
}

fn report(outcome: Value) -> Value {
    let (stdout, stderr) = (stream(b"hi\n", "eof"), stream(b"", "eof"));
    json!({"outcome": {"outcome": outcome, "stdout": stdout, "stderr": stderr, "wall_us": 5, "cpu_us": 3}})
}

#[test]
fn events_and_fields_of_a_later_version_are_ignored() {
    let queued = json!({"queued": {"position": 3}});
    let paused = json!({"paused": {"since": "noon"}});
    let exited = json!({"exited": {"exited": 0}});
    let done = collected(vec![queued], vec![paused, exited, report(json!({"ended": {"exited": 0}}))]);
    assert_eq!((done.report.outcome, &done.stdout[..]), (Outcome::exited(0), b"hi\n".as_slice()));
}

#[test]
fn an_outcome_of_a_later_version_is_reported_as_it_came() {
    let done = collected(vec![], vec![report(json!({"suspended": {"until": "noon"}}))]);
    let Outcome::Unknown(unknown) = &done.report.outcome else { panic!("{:?}", done.report) };
    assert_eq!((unknown.kind.as_str(), &unknown.body), ("suspended", &json!({"until": "noon"})));
}

#[test]
fn an_exit_and_ends_of_a_later_version_are_reported_as_they_came() {
    let mut message = report(json!({"ended": {"migrated": {"to": "elsewhere"}}}));
    message["outcome"]["stderr"] = stream(b"", "diverted");
    message["outcome"]["descendants"] = json!("adopted");
    let report = collected(vec![], vec![message]).report;
    assert!(matches!(&report.outcome, Outcome::Ended(Exit::Unknown(exit)) if exit.kind == "migrated"), "{report:?}");
    assert_eq!(report.stderr.map(|stream| stream.end), Some(StreamEnd::Unknown("diverted".into())));
    assert_eq!(report.descendants, Some(Left::Unknown("adopted".into())));
}

#[test]
fn an_exit_code_that_no_process_has_is_the_servers_fault() {
    let done = collected(vec![], vec![report(json!({"ended": {"exited": 256}}))]);
    let Outcome::Failed(fault) = &done.report.outcome else { panic!("{:?}", done.report) };
    assert_eq!(fault.code, Code::BadMessage);
}

#[test]
fn a_changed_output_is_corrupt_whatever_the_outcome() {
    let mut message = report(json!({"suspended": {}}));
    message["outcome"]["stdout"] = stream(b"ho\n", "eof");
    let done = collected(vec![], vec![message]);
    assert!(matches!(&done.report.outcome, Outcome::Corrupt(_)), "{:?}", done.report);
}
