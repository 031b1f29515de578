//! A server in ten lines: `cargo run -p unglue --example serve -- 127.0.0.1:0 STATE-DIR AUTHORIZED-KEYS`
//!
//! Its supervisors are this same program, started again.

use unglue::{Server, ServerOptions, supervise_main};

fn main() -> Result<(), unglue::Fault> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == "__supervise") {
        supervise_main();
    }
    let listen = arguments.first().map_or("127.0.0.1:0".into(), |text| text.to_string_lossy().into_owned());
    let mut options = ServerOptions::default().listen(listen);
    options.state = arguments.get(1).map(Into::into);
    options.authorized_keys = arguments.get(2).map(Into::into);
    let server = Server::start(options)?;
    let host_key = server.host_key().map(|key| key.fingerprint().to_string()).unwrap_or_default();
    println!("listening on {} host-key {host_key}", server.address());
    server.join();
    Ok(())
}
