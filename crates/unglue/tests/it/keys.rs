//! Who may log in (P8): the owner of a line of `authorized_keys` that is safe and admits the key.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use unglue::{Address, Client, Code, ConnectError, Exec, Fault};
use unglue_identity::{Passphrase, make_key_file};

use crate::daemon::Daemon;
use crate::site::{Site, address_of, code, run, within};

/// Tries to run a command; the fault if the server denies.
async fn attempt(site: &Site, address: &Address) -> Result<(), Fault> {
    let client = Client::connect(address, &site.client_options()).await.expect("the server is there");
    let done = client.exec(&Exec::new(["true"])).await?.collect(0).await;
    assert_eq!(code(&done.report), 0);
    assert_eq!(client.welcome().await?.protocol, "unglue/1");
    Ok(())
}

/// The client is denied, with advice and without details; the log has them.
async fn denied(site: &Site, daemon: &Daemon, why: &[&str]) {
    let fault = attempt(site, &address_of(daemon.address())).await.expect_err("it must be denied");
    assert_eq!(fault.code, Code::Denied, "{fault}");
    assert!(fault.advice.contains("authorized_keys"), "{fault}");
    daemon.logs(&[&["refused", "authentication"], why].concat()).await;
}

#[test]
fn a_line_that_refuses_admits_nobody() {
    within(60, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let key = site.key.public_key();
        for (option, named) in [
            ("an-option-of-the-future", "an-option-of-the-future"),
            ("command=ls", "command"),
            ("from=\"10.0.0.1\"", "127.0.0.1"),
            ("cert-authority", "cert-authority"),
            ("expiry-time=\"20200101\"", "expired"),
            ("principals=\"ada\"", "principals"),
        ] {
            site.authorise(&format!("{option} {key} somebody\n"));
            denied(&site, &daemon, &[named, &key.fingerprint().to_string()]).await;
        }
        for option in ["", "restrict ", "no-pty ", "from=\"127.0.0.0/8\" ", "expiry-time=\"20990101\" "] {
            site.authorise(&format!("# a comment\n\n{option}{key} somebody\n"));
            attempt(&site, &address_of(daemon.address())).await.expect(option);
        }
    });
}

#[test]
fn a_file_that_others_can_write_is_not_read() {
    within(60, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        for mode in [0o660, 0o606] {
            fs::set_permissions(site.path("authorized_keys"), Permissions::from_mode(mode)).expect("a mode");
            denied(&site, &daemon, &["can be written by others", &format!("{mode:04o}")]).await;
        }
        fs::set_permissions(site.path("authorized_keys"), Permissions::from_mode(0o644)).expect("a mode");
        attempt(&site, &address_of(daemon.address())).await.expect("readable by others is fine");
        fs::set_permissions(site.path(""), Permissions::from_mode(0o770)).expect("a mode");
        denied(&site, &daemon, &["can be written by others", "0770"]).await;
        fs::set_permissions(site.path(""), Permissions::from_mode(0o700)).expect("a mode");
        fs::remove_file(site.path("authorized_keys")).expect("it is removed");
        denied(&site, &daemon, &["authorized_keys"]).await;
    });
}

/// It is there, and can't be read: nothing is wrong with the client's key.
#[test]
fn a_file_that_cannot_be_read_is_the_servers_failure() {
    within(60, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        fs::remove_file(site.path("authorized_keys")).expect("it is removed");
        fs::create_dir(site.path("authorized_keys")).expect("a directory in its place");
        let fault = attempt(&site, &address_of(daemon.address())).await.expect_err("it must be denied");
        assert_eq!(fault.code, Code::System, "{fault}");
        assert!(fault.what.contains("could not look your key up"), "{fault}");
        daemon.logs(&["refused", "authentication", "authorized_keys", "not a regular file"]).await;
    });
}

#[test]
fn a_removed_key_is_refused_on_the_next_connection() {
    within(60, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let client = site.connect(daemon.address()).await;
        assert_eq!(code(&run(&client, &Exec::new(["true"])).await.report), 0);
        site.authorise("# nobody\n");
        denied(&site, &daemon, &[&site.key.public_key().fingerprint().to_string()]).await;
        // The link that was let in goes on, until its login is looked at again.
        assert_eq!(code(&run(&client, &Exec::new(["true"])).await.report), 0);
    });
}

#[test]
fn an_unknown_key_and_another_user_are_refused() {
    within(60, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        let mut address = address_of(daemon.address());
        address.user = Some("somebody-else".into());
        let fault = attempt(&site, &address).await.expect_err("it serves its own user");
        assert_eq!(fault.code, Code::NotAllowed, "its key is authorised, so it may know: {fault}");
        daemon.logs(&["refused", "somebody-else"]).await;

        fs::remove_file(site.path("key")).expect("it is removed");
        fs::remove_file(site.path("key.pub")).expect("it is removed");
        let stranger = make_key_file(&site.path("key"), "stranger", None).expect("a key").public_key();
        denied(&site, &daemon, &[&stranger.fingerprint().to_string()]).await;
    });
}

#[test]
fn a_key_that_is_offered_first_is_denied_in_words() {
    within(60, async || {
        let site = Site::new();
        let daemon = Daemon::start(&site);
        fs::remove_file(site.path("key")).expect("it is removed");
        fs::remove_file(site.path("key.pub")).expect("it is removed");
        let secret = Passphrase::new("secret".into());
        make_key_file(&site.path("key"), "stranger", Some(&secret)).expect("a key");
        // The denial and the end of the connection arrive together.
        for _ in 0..10 {
            let refused = Client::connect(&address_of(daemon.address()), &site.client_options()).await;
            match refused.err().expect("the offer is denied") {
                ConnectError::Failed(error) => assert_eq!(error.code(), Code::Denied, "{error}"),
                other => panic!("{other}"),
            }
        }
    });
}
