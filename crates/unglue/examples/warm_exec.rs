//! How long `true` takes on one warm connection, beside a bare spawn of the same program, in turns.
//!
//! `warm_exec --address HOST:PORT --identity FILE --known-hosts FILE` prints one JSON object: `warm` and `spawn_floor` in
//! microseconds for each command, `pipelined_rate` (a thousand at once on the connection) and `two_threads_rate` (two
//! threads that do nothing but spawn) in commands a second for each round.

use std::process::{Command, Stdio};
use std::time::Instant;

use unglue::{Client, ClientOptions, Exec, Exit, Outcome};

type Error = Box<dyn std::error::Error>;

const TURNS: usize = 300;
const ROUNDS: usize = 7;
const PIPELINED: usize = 1000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut options = ClientOptions::default();
    let mut address = None;
    let mut arguments = std::env::args().skip(1);
    while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
        match name.as_str() {
            "--address" => address = Some(value.parse()?),
            "--identity" => options.identity = Some(value.into()),
            "--known-hosts" => options.known_hosts = Some(value.into()),
            other => return Err(format!("unknown option {other}").into()),
        }
    }
    let client = Client::connect(&address.ok_or("--address HOST:PORT is missing")?, &options).await?;
    let (mut warm, mut floor) = (Vec::new(), Vec::new());
    for turn in 0..TURNS + 20 {
        let (ours, theirs) = (remote(&client).await?, local()?);
        if turn >= 20 {
            warm.push(ours);
            floor.push(theirs);
        }
    }
    let (mut pipelined, mut threads) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        pipelined.push(pipelined_rate(&client).await?);
        threads.push(two_threads_rate()?);
    }
    println!(
        "{{\"warm\":{warm:?},\"spawn_floor\":{floor:?},\"pipelined_rate\":{pipelined:?},\"two_threads_rate\":{threads:?}}}"
    );
    Ok(())
}

/// One command on the connection, in microseconds.
async fn remote(client: &Client) -> Result<f64, Error> {
    let began = Instant::now();
    run(client).await?;
    Ok(began.elapsed().as_secs_f64() * 1e6)
}

async fn run(client: &Client) -> Result<(), Error> {
    let done = client.exec(&Exec::new(["/bin/true"])).await?.collect(0).await;
    match done.report.outcome {
        Outcome::Ended(Exit::Exited(0)) => Ok(()),
        other => Err(format!("true ended as {other:?}").into()),
    }
}

/// One bare spawn and wait, in microseconds.
fn local() -> Result<f64, Error> {
    let began = Instant::now();
    spawn()?;
    Ok(began.elapsed().as_secs_f64() * 1e6)
}

fn spawn() -> std::io::Result<()> {
    Command::new("/bin/true").stdin(Stdio::null()).status().map(|_| ())
}

async fn pipelined_rate(client: &Client) -> Result<f64, Error> {
    let began = Instant::now();
    let mut commands = tokio::task::JoinSet::new();
    for _ in 0..PIPELINED {
        let client = client.clone();
        commands.spawn(async move { run(&client).await.map_err(|error| error.to_string()) });
    }
    while let Some(command) = commands.join_next().await {
        command??;
    }
    Ok(PIPELINED as f64 / began.elapsed().as_secs_f64())
}

fn two_threads_rate() -> Result<f64, Error> {
    let began = Instant::now();
    let threads: Vec<_> = (0..2).map(|_| std::thread::spawn(|| (0..PIPELINED / 2).try_for_each(|_| spawn()))).collect();
    for thread in threads {
        thread.join().map_err(|_| "a spawning thread panicked")??;
    }
    Ok(PIPELINED as f64 / began.elapsed().as_secs_f64())
}
