//! A command on another machine in ten lines: `cargo run -p unglue --example exec -- HOST PROGRAM ARG…`

use unglue::{Client, Exec};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let host = arguments.next().ok_or("usage: exec HOST PROGRAM ARG…")?;
    let client = Client::connect(&host.parse()?, &Default::default()).await?;
    let done = client.exec(&Exec::new(arguments)).await?.collect(1 << 20).await;
    print!("{}", String::from_utf8_lossy(&done.stdout));
    eprint!("{}", String::from_utf8_lossy(&done.stderr));
    eprintln!("{:?} after {} µs", done.report.outcome, done.report.wall_us);
    Ok(())
}
