//! Uploads whose server is killed, whose client is, or whose disk fills up (P7).

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use unglue::{Client, Code, Download, TransferOptions, Upload};
use unglue_testkit::Prng;
use unglue_testkit::relay::{Break, Flow, Relay, Towards};

use crate::daemon::Daemon;
use crate::site::{Site, eventually, names, soon, within};

/// An upload that has begun and can't go on: the network stalls.
async fn stalled_upload(
    site: &Site,
    relay: &Relay,
    client: Client,
) -> tokio::task::JoinHandle<Result<(), unglue::Fault>> {
    fs::write(site.root().join("file"), "old").expect("an old file");
    fs::write(site.local().join("file"), Prng::new(1).bytes(20 << 20)).expect("a source");
    let carried = relay.carried(Towards::Server);
    let local = site.local_store();
    let upload = tokio::spawn(async move {
        let options = TransferOptions::default();
        client.put(Upload::file(&local, "file"), "file", options).await.map(|_| ())
    });
    eventually(10, "a part of the upload", || relay.carried(Towards::Server) > carried + 1_000_000).await;
    relay.set_flow(Towards::Server, Flow::Stalled);
    eventually(10, "a temporary file", || names(&site.root()).len() == 2).await;
    upload
}

fn is_old(root: &Path) {
    assert_eq!(fs::read(root.join("file")).expect("it is there"), b"old");
}

#[test]
fn a_server_that_is_killed_leaves_the_old_file_and_sweeps_at_its_next_start() {
    within(60, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let relay = Relay::start(daemon.address(), 1).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        let upload = stalled_upload(&site, &relay, client).await;
        daemon.kill();
        let fault = soon(10, "the upload", upload).await.expect("no panic").expect_err("the server is dead");
        assert_eq!(fault.code, Code::LinkLost, "{fault}");
        is_old(&site.root());
        assert_eq!(names(&site.root()).len(), 2, "somebody else swept");

        let daemon = Daemon::start(&site);
        assert_eq!(names(&site.root()), ["file"], "the temporary file outlived the next start");
        is_old(&site.root());
        let client = site.connect(daemon.address()).await;
        let local = site.local_store();
        let put = client.put(Upload::file(&local, "file"), "file", Default::default());
        assert_eq!(soon(20, "another upload", put).await.expect("it succeeds").bytes, 20 << 20);
    });
}

#[test]
fn a_client_that_is_gone_leaves_the_old_file_and_nothing_else() {
    within(60, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let relay = Relay::start(daemon.address(), 1).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        let upload = stalled_upload(&site, &relay, client).await;
        upload.abort();
        relay.break_all(Break::Reset);
        eventually(5, "the temporary file's end", || names(&site.root()) == ["file"]).await;
        is_old(&site.root());
        // Whether the operation or its link was told first is a race; either way there is a line.
        daemon.logs(&["event=\"put"]).await;
    });
}

/// An upload that is given up on a link that goes on.
#[test]
fn a_cancelled_upload_leaves_the_old_file_and_the_link_goes_on() {
    within(60, async || {
        let site = Site::new();
        let serving = site.serve();
        let relay = Relay::start(serving.address(), 1).await.expect("a relay");
        let client = site.connect(relay.address()).await;
        let upload = stalled_upload(&site, &relay, client.clone()).await;
        upload.abort();
        relay.set_flow(Towards::Server, Flow::Open);
        eventually(5, "the temporary file's end", || names(&site.root()) == ["file"]).await;
        is_old(&site.root());
        let local = site.local_store();
        let put = client.put(Upload::file(&local, "file"), "other", Default::default());
        assert_eq!(soon(20, "another upload", put).await.expect("the link goes on").bytes, 20 << 20);
    });
}

#[test]
fn a_full_disk_keeps_the_old_file_and_says_so() {
    const SCRIPT: &str = "mount -t tmpfs -o size=1m,mode=0755 tmpfs \"$0/root\" && exec \"$@\"";
    let root = if rustix::process::geteuid().is_root() { "" } else { "--map-root-user" };
    let words: Vec<&str> = ["unshare", "--mount", root].into_iter().filter(|word| !word.is_empty()).collect();
    let mountable = Command::new(words[0])
        .args(&words[1..])
        .args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .stderr(Stdio::null())
        .status();
    if !mountable.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: there are no mount namespaces, in which a small disk can be made");
    }
    within(60, async move || {
        let site = Site::new();
        let directory = site.path("");
        let directory = directory.to_str().expect("a temporary directory's name");
        let daemon = Daemon::start_as(&site.path(""), &[&words, &["sh", "-c", SCRIPT, directory][..]].concat());
        let client = site.connect(daemon.address()).await;
        let local = site.local_store();
        fs::write(site.local().join("small"), "old").expect("a source");
        client.put(Upload::file(&local, "small"), "file", Default::default()).await.expect("there is room");
        fs::write(site.local().join("large"), vec![7; 2 << 20]).expect("a source");
        let put = client.put(Upload::file(&local, "large"), "file", Default::default());
        let fault = soon(10, "the refusal", put).await.expect_err("there is no room");
        assert_eq!((fault.code, fault.errno.as_deref()), (Code::System, Some("ENOSPC")), "{fault:?}");
        assert_eq!(fault.path, Some("file".into()), "{fault:?}");

        client.get("file", Download::file(&local, "back"), Default::default()).await.expect("the old one is there");
        assert_eq!(fs::read(site.local().join("back")).expect("it is back"), b"old");
        let listing = crate::site::run(&client, &unglue::Exec::new(["ls", "-A"])).await;
        assert_eq!(String::from_utf8_lossy(&listing.stdout), "file\n");
    });
}
