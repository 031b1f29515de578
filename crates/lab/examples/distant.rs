//! Two hosts on this machine with a long way between them, for other programs to use.
//!
//! `distant [--round-trip MS] [--rate MBIT] [--queue MS] [--loss PERCENT] [--seed NUMBER]` prints one JSON object with the address
//! and the namespace of both hosts (`nsenter --net=NAMESPACE PROGRAM` starts a program there), and carries packets until its input
//! ends. Then it prints what it has carried in each direction. It takes root, or `unshare --user --map-root-user`.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use unglue_lab::network::{Carried, Distance, Distant, Host};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let network = Distant::new(&asked()?)?;
    print(&format!("{{\"near\":{},\"far\":{}}}", host(network.near()), host(network.far())))?;
    io::stdin().read_to_end(&mut Vec::new())?;
    let [there, back] = network.carried().map(counts);
    print(&format!("{{\"there\":{there},\"back\":{back}}}"))?;
    Ok(())
}

fn asked() -> Result<Distance, Error> {
    let ms = |value: &str| Ok::<_, Error>(Duration::from_secs_f64(value.parse::<f64>()? / 1000.0));
    let mut distance = Distance::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} has no value"))?;
        match name.as_str() {
            "--round-trip" => distance.delay = ms(&value)? / 2,
            "--rate" => distance.rate = (value.parse::<f64>()? * 1e6) as u64,
            "--queue" => distance.queue = ms(&value)?,
            "--loss" => distance.loss = value.parse::<f64>()? / 100.0,
            "--seed" => distance.seed = value.parse()?,
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    Ok(distance)
}

fn host(host: &Host) -> String {
    let (process, descriptor) = (std::process::id(), host.namespace().as_raw_fd());
    format!("{{\"address\":\"{}\",\"namespace\":\"/proc/{process}/fd/{descriptor}\"}}", host.address())
}

fn counts(carried: Carried) -> String {
    let Carried { packets, bytes, lost, dropped } = carried;
    format!("{{\"packets\":{packets},\"bytes\":{bytes},\"lost\":{lost},\"dropped\":{dropped}}}")
}

fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}
