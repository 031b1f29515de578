//! A relay between a client and a server, for tests without a runtime of their own.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;
use unglue_testkit::relay::{Break, Relay, Towards};

use crate::host::Host;
use crate::run::finish;

/// A relay that runs on a thread.
pub(crate) struct Link {
    relay: Option<Arc<Relay>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    /// A relay to a server. The server's client knows it.
    pub(crate) fn to(host: &Host) -> Link {
        let server = host.target().parse().expect("an address");
        let (ready, relay) = channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                ready.send(Arc::new(Relay::start(server, 11).await.expect("a port"))).expect("the test waits");
                let _ = stopped.await;
            });
        });
        let link = Link { relay: Some(relay.recv().expect("a relay")), stop: Some(stop), thread: Some(thread) };
        finish(host.client(["key", "trust", &link.target(), &host.fingerprint])).expect(0);
        link
    }

    fn relay(&self) -> &Relay {
        self.relay.as_ref().expect("it is there until the end")
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn target(&self) -> String {
        self.relay().address().to_string()
    }

    /// Resets the first connection that has carried so many bytes in one direction.
    pub(crate) fn cut_after(&self, towards: Towards, bytes: u64) {
        self.relay().break_after(towards, bytes, Break::Reset);
    }

    /// Bytes that went in this direction, over all connections.
    pub(crate) fn carried(&self, towards: Towards) -> u64 {
        self.relay().carried(towards)
    }

    /// Resets all connections; the next ones are carried again.
    pub(crate) fn cut(&self) {
        self.relay().break_all(Break::Reset);
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.relay().connections()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.relay = None;
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
