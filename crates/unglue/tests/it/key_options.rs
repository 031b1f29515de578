//! What the options of a line in `authorized_keys` allow, and what becomes of open links when a line goes.

use std::time::Duration;

use unglue::{Code, Download, Exec, Outcome, TransferOptions, Upload};

use crate::daemon::Daemon;
use crate::site::{Site, code, run, soon, within};

/// The words of a refusal.
fn refused(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Refused(fault) => {
            assert_eq!(fault.code, Code::NotAllowed, "{fault}");
            &fault.what
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_forced_command_replaces_every_other_and_nothing_else_is_allowed() {
    within(60, async || {
        let site = Site::new();
        let key = site.key.public_key();
        let command = r#"printf '%s|' \"$SSH_ORIGINAL_COMMAND\" \"$X\" \"$LC_ALL\" \"$0\"; pwd"#;
        site.authorise(&format!("command=\"{command}\" {key}\n"));
        let server = site.serve();
        let client = site.connect(server.address()).await;
        let allowed = client.welcome().await.expect("it is let in").allow;
        assert_eq!(allowed, ["exec"]);
        let exec = Exec::new(["rm", "-rf", "a b", "$(id)", "it's"]);
        let exec = exec.env("X", "evil").env("SSH_ORIGINAL_COMMAND", "a lie").env("LC_ALL", "C");
        let done = run(&client, &exec).await;
        assert_eq!(code(&done.report), 0);
        let printed = String::from_utf8(done.stdout).expect("text");
        assert!(printed.starts_with(r"rm -rf 'a b' '$(id)' 'it'\''s'||C|"), "{printed}");
        assert!(printed.trim_end().ends_with("/root"), "{printed}");

        let elsewhere = run(&client, &Exec::new(["true"]).cwd("/tmp")).await;
        assert!(refused(&elsewhere.report.outcome).contains("command="));
        std::fs::write(site.root().join("file"), "secret").expect("written");
        let put = client.put(Upload::bytes(&b"x"[..]), "file", TransferOptions::default()).await;
        assert_eq!(put.expect_err("no files").code, Code::NotAllowed);
        let mut bytes = Vec::new();
        let get = client.get("file", Download::writer(&mut bytes), TransferOptions::default()).await;
        assert_eq!(get.expect_err("no files").code, Code::NotAllowed);
        assert_eq!(std::fs::read(site.root().join("file")).expect("read"), b"secret");
    });
}

#[test]
fn variables_of_a_key_are_set_only_if_the_server_allows_it() {
    within(60, async || {
        let site = Site::new();
        site.authorise(&format!("environment=\"FROM_KEY=yes\" {}\n", site.key.public_key()));
        for (permitted, printed) in [(false, ""), (true, "yes")] {
            let server = site.serve_with(|options| options.user_environment = permitted);
            let client = site.connect(server.address()).await;
            let done = run(&client, &Exec::shell("printf %s \"$FROM_KEY\"").env("OTHER", "x")).await;
            assert_eq!(done.stdout, printed.as_bytes());
        }
    });
}

#[test]
fn a_link_ends_within_a_minute_of_its_keys_removal_and_not_because_of_an_unreadable_file() {
    within(150, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let client = site.connect(daemon.address()).await;
        let sleep = client.exec(&Exec::new(["sleep", "200"])).await.expect("it starts");
        // A directory in its place can't be read.
        let file = site.path("authorized_keys");
        let lines = std::fs::read_to_string(&file).expect("read");
        std::fs::remove_file(&file).expect("removed");
        std::fs::create_dir(&file).expect("made");
        soon(60, "the log line", daemon.logs_within(60, &["not_reconsidered", "authorized_keys"])).await;
        assert_eq!(code(&run(&client, &Exec::new(["true"])).await.report), 0);
        std::fs::remove_dir(&file).expect("removed");
        site.authorise(&lines);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(code(&run(&client, &Exec::new(["true"])).await.report), 0);
        site.authorise("# nobody\n");
        let ended = soon(60, "the link's end", client.ended()).await;
        assert!(ended.what.contains("no longer accepts your key"), "{ended}");
        let report = soon(10, "the command", sleep.collect(100)).await.report;
        let Outcome::LinkLost(fault) = &report.outcome else { panic!("{report:?}") };
        assert!(fault.what.contains("no longer accepts your key"), "{fault}");
        daemon.logs(&["expelled"]).await;
    });
}
