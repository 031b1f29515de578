//! Logins with every kind of key and with certificates, to servers with every kind of host key.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use unglue::identity::PublicKey;
use unglue::{Client, ClientOptions, Code, ConnectError, Exec};

use crate::site::{Serving, Site, address_of, code, run, soon, within};

/// Runs `ssh-keygen`; `None` on a machine without it.
fn keygen(arguments: &[&str]) -> Option<()> {
    let output = match Command::new("timeout").args(["20", "ssh-keygen", "-q"]).args(arguments).output() {
        Ok(output) if output.status.code() != Some(127) => output,
        _ => {
            eprintln!("skipped: ssh-keygen is not installed");
            return None;
        }
    };
    assert!(output.status.success(), "{output:?}");
    Some(())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A new key.
fn make(path: &Path, kind: &[&str]) -> Option<PublicKey> {
    keygen(&[kind, &["-N", "", "-C", "", "-f", text(path)]].concat())?;
    let line = fs::read_to_string(path.with_extension("pub")).expect("the .pub file");
    Some(line.parse().expect("a key"))
}

const KINDS: [&[&str]; 5] = [
    &["-t", "ed25519"],
    &["-t", "ecdsa", "-b", "256"],
    &["-t", "ecdsa", "-b", "384"],
    &["-t", "ecdsa", "-b", "521"],
    &["-t", "rsa", "-b", "2048"],
];

async fn works(server: &Serving, options: &ClientOptions) -> Result<Client, ConnectError> {
    let client = soon(30, "connecting", Client::connect(&address_of(server.address()), options)).await?;
    assert_eq!(code(&run(&client, &Exec::new(["true"])).await.report), 0);
    Ok(client)
}

#[test]
fn every_kind_of_user_key_logs_in() {
    within(60, async || {
        let site = Site::new();
        let server = site.serve();
        for (number, kind) in KINDS.iter().enumerate() {
            let path = site.path(&format!("user{number}"));
            let Some(key) = make(&path, kind) else { return };
            site.authorise(&format!("{key}\n"));
            works(&server, &site.client_options().identity(&path)).await.expect("it logs in");
            site.authorise("# nobody\n");
            let client = Client::connect(&address_of(server.address()), &site.client_options().identity(&path)).await;
            let fault = client.expect("it is there").welcome().await.expect_err("denied");
            assert_eq!(fault.code, Code::Denied, "{kind:?}");
        }
    });
}

#[test]
fn a_client_asks_for_the_host_key_that_it_knows() {
    within(60, async || {
        let site = Site::new();
        let mut hosts: Vec<(PathBuf, PublicKey)> = Vec::new();
        for (number, kind) in KINDS[..4].iter().enumerate() {
            let path = site.path(&format!("host{number}"));
            let Some(key) = make(&path, kind) else { return };
            hosts.push((path, key));
        }
        let files: Vec<_> = hosts.iter().map(|(path, _)| path.clone()).collect();
        let server = site.serve_with(|options| options.host_keys = files);
        assert_eq!(server.server().host_key(), Some(&hosts[0].1));
        for (_, key) in &hosts {
            fs::write(site.path("known_hosts"), format!("127.0.0.1 {key}\n")).expect("written");
            let client = works(&server, &site.client_options()).await.expect("it is known");
            assert_eq!(client.host_key(), Some(key));
        }
        // Another key of a kind that the server has.
        let Some(other) = make(&site.path("other"), KINDS[2]) else { return };
        let port = server.address().port();
        fs::write(site.path("known_hosts"), format!("[127.0.0.1]:{port} {other}\n")).expect("written");
        let error = works(&server, &site.client_options()).await.err().expect("it is another");
        assert!(error.to_string().contains("shows the host key"), "{error}");
        // An RSA key proves no host.
        let Some(_) = make(&site.path("rsa"), KINDS[4]) else { return };
        let mut options = site.server_options();
        options.host_keys = vec![site.path("rsa")];
        assert!(unglue::Server::start(options).err().expect("refused").what.contains("ssh-rsa"));
    });
}

#[test]
fn a_host_is_known_by_its_authority() {
    within(60, async || {
        let site = Site::new();
        let (authority, host) = (site.path("authority"), site.path("host"));
        let (Some(authority_key), Some(host_key)) = (make(&authority, KINDS[1]), make(&host, KINDS[0])) else { return };
        let sign = |extra: &[&str]| {
            let public = host.with_extension("pub");
            keygen(&[&["-s", text(&authority), "-I", "id", "-h"], extra, &[text(&public)]].concat()).expect("signed");
            site.serve_with(|options| options.host_keys = vec![host.clone()])
        };
        let known = |lines: String| fs::write(site.path("known_hosts"), lines).expect("written");
        let server = sign(&["-n", "127.0.0.1"]);
        known(format!("@cert-authority 127.0.0.* {authority_key}\n"));
        let client = works(&server, &site.client_options()).await.expect("its authority is known");
        assert_eq!(client.host_key(), Some(&host_key));
        // A key on a line of its own needs no certificate; an authority that has signed nothing changes nothing.
        known(format!("127.0.0.1 {host_key}\n@cert-authority * {}\n", site.key.public_key()));
        works(&server, &site.client_options()).await.expect("it is known itself");
        known(format!("@cert-authority * {}\n", site.key.public_key()));
        assert!(matches!(works(&server, &site.client_options()).await, Err(ConnectError::Unknown(_))));
        known(format!("@cert-authority * {authority_key}\n@revoked * {host_key}\n"));
        let error = works(&server, &site.client_options()).await.err().expect("revoked");
        assert!(error.to_string().contains("revokes"), "{error}");
        known(format!("@cert-authority * {authority_key}\n"));
        // There is one server for a state directory at a time.
        drop(server);
        for (extra, why) in
            [(&["-n", "other.example"][..], "is not for"), (&["-n", "127.0.0.1", "-V", "20200101:20200201"], "expired")]
        {
            let server = sign(extra);
            let error = works(&server, &site.client_options()).await.err().expect(why);
            assert!(error.to_string().contains(why), "{error}");
        }
    });
}

#[test]
fn a_users_certificate_logs_in_with_what_it_allows() {
    within(60, async || {
        let site = Site::new();
        let (authority, user) = (site.path("authority"), site.path("user"));
        let (Some(authority_key), Some(_)) = (make(&authority, KINDS[0]), make(&user, KINDS[1])) else { return };
        let public = user.with_extension("pub");
        let sign = |extra: &[&str]| {
            keygen(&[&["-s", text(&authority), "-I", "ada's", "-z", "5"], extra, &[text(&public)]].concat())
                .expect("signed")
        };
        let revoked = site.path("revoked");
        fs::write(&revoked, "").expect("written");
        let server = site.serve_with(|options| options.revoked_keys = Some(revoked.clone()));
        site.authorise(&format!("cert-authority,principals=\"deploy\" {authority_key}\n"));
        let options = site.client_options().identity(&user);
        sign(&["-n", "deploy"]);
        works(&server, &options).await.expect("it is let in");
        sign(&["-n", "deploy", "-O", "force-command=echo forced"]);
        let client = Client::connect(&address_of(server.address()), &options).await.expect("it connects");
        assert_eq!(run(&client, &Exec::new(["id"])).await.stdout, b"forced\n");
        let denied = async |why: &str| {
            let error = match Client::connect(&address_of(server.address()), &options).await {
                Ok(client) => client.welcome().await.expect_err(why).code,
                Err(ConnectError::Failed(error)) => error.code(),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(error, Code::Denied, "{why}");
        };
        sign(&["-n", "other"]);
        denied("another name").await;
        sign(&["-n", "deploy", "-V", "20200101:20200201"]);
        denied("expired").await;
        sign(&["-n", "deploy", "-O", "source-address=10.0.0.0/8"]);
        denied("another address").await;
        sign(&["-n", "deploy"]);
        fs::copy(authority.with_extension("pub"), &revoked).expect("copied");
        denied("its authority is revoked").await;
        fs::remove_file(&revoked).expect("removed");
        let error = Client::connect(&address_of(server.address()), &options).await.err().expect("nobody may");
        assert!(matches!(error, ConnectError::Failed(error) if error.code() == Code::System));
    });
}
