//! A client in Python that was written from PROTOCOL.md alone, TLS included, against the real server.

use std::path::{Path, PathBuf};

use super::host::Host;
use super::run::{clean, finish};

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers")
}

/// Whether there is a Python with the package `cryptography`; a test that lacks it says so and returns.
fn has_cryptography() -> bool {
    let there = finish(clean("sh").args(["-c", "python3 -c 'import cryptography'"])).code == 0;
    if !there {
        eprintln!("skipped: there is no python3 with the package cryptography");
    }
    there
}

#[test]
fn a_client_written_from_the_document_logs_in_to_the_real_server() {
    if !has_cryptography() {
        return;
    }
    let host = Host::start();
    let mut client = clean("python3");
    client.arg("-B").arg(peers().join("unglue_tls_client.py")).args(["127.0.0.1", &host.port.to_string()]);
    client.arg(host.home().join(".config/unglue/id_ed25519")).arg(host.home().join("host_key.pub"));
    let said = finish(&mut client).expect(0).stderr;
    assert_eq!(said.lines().filter(|line| line.starts_with("ok: ")).count(), 7, "{said}");
    assert_eq!(std::fs::metadata(host.root().join("from-python")).expect("it is there").len(), 200_000);
}
