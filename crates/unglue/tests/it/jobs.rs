//! Commands that outlive their link (P3, P5): run at most once, found again from anywhere, with every byte.

mod leases;
mod once;
mod reattach;
mod storm;

use std::time::Duration;

use unglue::{Client, Exec, Lease};

use crate::tree::Mark;

/// A command that appends a line to `starts`, prints `one`, waits for the file `go`, prints `two`, and exits with 3. All in
/// the root.
const WAITS: &str = "echo x >> starts; echo one; until [ -e go ]; do sleep 0.02; done; echo two; exit 3";

fn detached(mark: &Mark, id: &str) -> Exec {
    mark.on(Exec::shell(WAITS)).lease(Lease::Detach).id(id)
}

fn kept(mark: &Mark, text: &str) -> Exec {
    mark.on(Exec::shell(text)).lease(Lease::Keep(Duration::from_secs(20)))
}

/// Starts it, and lets go of it.
async fn let_go(client: &Client, exec: &Exec) {
    let running = client.exec(exec).await.expect("it starts");
    assert!(running.pid().is_some(), "{:?}", { running }.outcome().await);
    running.detach();
}
