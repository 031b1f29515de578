//! What a principal may use: the one place where its policy decides about the server's commands, environment, files and
//! limits.

use unglue_host::store::{Owner, Store};
use unglue_identity::Principal;
use unglue_proto::{Code, Fault};

use super::realm::Realm;
use crate::ops::exec::Runner;
use crate::ops::forward::Ports;
use crate::ops::slots::Slots;

/// What the operations of one connection may use. They get it from here, and never from the server's settings.
pub(super) struct Grant {
    runner: Option<Runner>,
    store: Option<Store>,
    slots: Slots,
    ports: Ports,
}

impl Grant {
    /// What `principal` may use of a realm. `runner` is that of the connection's thread.
    pub(super) fn of(principal: &Principal, realm: &Realm, runner: Option<Runner>) -> Grant {
        let policy = &principal.policy;
        Grant {
            runner: runner.filter(|_| policy.exec),
            // Another principal's interrupted transfers are not this one's to resume.
            store: realm.store.clone().filter(|_| policy.files).map(|store| store.owned_by(owner(principal))),
            slots: realm.slots.of_link(),
            ports: realm.ports.of_link(policy.forward.clone(), policy.exec.then_some(&*realm.top)),
        }
    }

    /// What runs commands, with the environment and the directory that they get.
    ///
    /// # Errors
    /// [`Code::NotAllowed`].
    pub(super) fn runner(&self) -> Result<&Runner, Fault> {
        self.runner.as_ref().ok_or_else(|| not_allowed("runs no commands", "exec"))
    }

    /// The files.
    ///
    /// # Errors
    /// [`Code::NotAllowed`].
    pub(super) fn store(&self) -> Result<&Store, Fault> {
        self.store.as_ref().ok_or_else(|| not_allowed("moves no files", "files"))
    }

    /// The ports that may be forwarded.
    ///
    /// # Errors
    /// [`Code::NotAllowed`].
    pub(super) fn ports(&self) -> Result<&Ports, Fault> {
        match self.ports.is_allowed() {
            true => Ok(&self.ports),
            false => Err(not_allowed("forwards no ports for you", "forward")),
        }
    }

    /// How many transfers may be in progress.
    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }
}

fn owner(principal: &Principal) -> Owner {
    Owner::named(principal.to_string().as_bytes())
}

fn not_allowed(what: &str, name: &str) -> Fault {
    Fault::user(Code::NotAllowed, format!("this server {what}"))
        .advise(format!("its owner can start it with --allow {name}"))
}
