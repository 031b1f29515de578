//! What a server has to give: files, commands, ports. One realm is for the clients that its options are about, the other one
//! for its own user.

use std::path::{Path, PathBuf};

use unglue_host::process::Account;
use unglue_host::store::{Partials, Protected, Store};
use unglue_identity::{Forwarding, HostKey, HostKeys, Policy};
use unglue_proto::Fault;

use super::{ServerOptions, authorized_keys, top};
use crate::ops::forward::Ports;
use crate::ops::slots::Slots;

/// What a kind of clients is served from.
pub(crate) struct Realm {
    pub(crate) store: Option<Store>,
    pub(crate) slots: Slots,
    pub(crate) ports: Ports,
    /// The most that anybody may do.
    pub(crate) policy: Policy,
    /// Where commands start.
    pub(crate) top: PathBuf,
}

impl Realm {
    /// What the options say.
    pub(super) fn offered(options: &ServerOptions, account: &Account, store: Option<Store>) -> Result<Realm, Fault> {
        Ok(Realm {
            store: store.filter(|_| options.files),
            slots: Slots::transfers(),
            ports: Ports::of_server(options.gateway_ports),
            policy: policy(options),
            top: top(options, account)?,
        })
    }

    /// Everything, from the home directory on.
    pub(super) fn own(account: &Account, store: Option<Store>) -> Realm {
        Realm {
            store,
            slots: Slots::transfers(),
            ports: Ports::of_server(true),
            policy: Policy::everything(),
            top: home_or_root(account),
        }
    }
}

/// Where a user without a home is, as for sshd.
pub(super) fn home_or_root(account: &Account) -> PathBuf {
    if account.home.is_dir() { account.home.clone() } else { "/".into() }
}

/// The stores of the two realms; none for a user without a home, who can only run commands. Without a directory for records, files
/// are moved all the same.
///
/// # Errors
/// There is no such root, or a record of a temporary file can't be read.
pub(super) fn stores(
    options: &ServerOptions,
    account: &Account,
    state: Option<&Path>,
    host_keys: Option<&HostKeys>,
) -> Result<(Option<Store>, Option<Store>), Fault> {
    let home = Store::home(&account.home).inspect_err(|error| tracing::warn!(event = "no_home", why = %error)).ok();
    let offered = options.root.as_deref().map(Store::confined).transpose()?;
    let protected = protected(options, account, state, host_keys);
    let partials = state.map(Partials::open).and_then(|opened| {
        let advice = "a transfer that this process doesn't see to its end leaves a temporary file";
        opened.inspect_err(|error| tracing::warn!(event = "no_records", why = %error, advice)).ok()
    });
    if let Some(partials) = &partials {
        let swept = partials.sweep()?;
        tracing::debug!(?swept, "swept temporary files of dead servers");
    }
    let complete = |store: Store| match &partials {
        Some(partials) => store.with_partials(partials.clone()).protecting(protected.clone()),
        None => store.protecting(protected.clone()),
    };
    let own = home.map(complete);
    Ok((offered.map(complete).or_else(|| own.clone().filter(|_| options.root.is_none())), own))
}

/// What clients can't write by moving files: what would take the server over. Where commands are allowed, the list of keys
/// is the user's to change in any case.
fn protected(
    options: &ServerOptions,
    account: &Account,
    state: Option<&Path>,
    host_keys: Option<&HostKeys>,
) -> Protected {
    let protected = state.into_iter().fold(Protected::default(), |protected, state| {
        protected.directory(state).directory(state.join("partials")).secret(state.join("host_key"))
    });
    let keys = host_keys.into_iter().flat_map(HostKeys::iter);
    let protected = keys.fold(protected, |protected, HostKey { path, .. }| protected.secret(path));
    if options.exec {
        return protected;
    }
    let revoked = options.revoked_keys.iter();
    let protected = revoked.fold(protected, |protected, revoked| protected.file(revoked));
    protected.file(authorized_keys(options, account).path())
}

/// What the options allow to anybody.
pub(super) fn policy(options: &ServerOptions) -> Policy {
    let mut policy = Policy::everything();
    (policy.exec, policy.files) = (options.exec, options.files);
    policy.forward = if options.forward { Forwarding::all() } else { Forwarding::default() };
    policy
}
