//! A tap of your own: counts the messages that reads cut or merged, and prints nothing else.
//!
//! ```text
//! cargo run --release -p unglue-lab --example tap -- 127.0.0.1:8001 127.0.0.1:8000 u32be
//! ```

use std::error::Error;

use unglue_lab::tap::{Happened, Settings, tap};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [listen, target, notation @ ..] = &words[..] else {
        return Err("give the address to listen on, the server's, and a notation if there is one".into());
    };
    let mut settings = Settings::new(listen.parse()?, target.parse()?);
    settings.framing = notation.first().map(|notation| notation.parse()).transpose()?;
    settings.reply_framing = settings.framing.clone();
    settings.connections = Some(1);
    let (_stopper, tap) = tap(settings)?;
    tap.run(&mut |event| {
        if let Happened::Closed { to_server, to_client } = &event.what {
            println!("client: {to_server:?}\nserver: {to_client:?}");
        }
    })?;
    Ok(())
}
