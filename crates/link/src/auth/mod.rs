//! The exchange that comes before every stream: who is asking, and may they?
//!
//! Both halves of [`unglue_proto::message::auth`]. The client's proof and its first requests travel in one flight; the
//! server reads nothing behind the proof until it holds. Where the transport has authenticated the peer already, the hello
//! bears no proof.

mod client;
mod error;
mod server;

pub use client::Credentials;
pub use error::LoginError;
pub use server::{Gatekeeper, Logins};

pub(crate) use client::{certificates_wanted, hello_without_proof, welcome_exchange};
pub(crate) use server::{Answer, Examiner, Reconsiderations, denial, examine_trusted, reply, welcome};

use unglue_proto::PROTOCOL;
use unglue_proto::control::encode;
use unglue_proto::message::auth::ZSTD;

use crate::error::LinkError;
use crate::opening::protocol;

/// The name and version of this program, for the other end's log.
const AGENT: &str = concat!("unglue ", env!("CARGO_PKG_VERSION"));

/// What this end takes beyond the first version's frames.
fn accepts() -> Vec<String> {
    vec![ZSTD.to_owned()]
}

/// Whether the peer takes compressed blocks.
pub(crate) fn takes_zstd(accepts: &[String]) -> bool {
    accepts.iter().any(|what| what == ZSTD)
}

fn message<T: serde::Serialize>(message: &T) -> Result<Vec<u8>, LinkError> {
    let mut out = Vec::new();
    encode(message, &mut out).map_err(protocol)?;
    Ok(out)
}

fn check_protocol(protocol: &str) -> Result<(), LinkError> {
    match protocol {
        PROTOCOL => Ok(()),
        other => {
            let what = format!("the client speaks {other:?}, this server {PROTOCOL}");
            Err(LinkError::Incompatible { what, advice: "" })
        }
    }
}
