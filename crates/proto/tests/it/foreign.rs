//! A client in another language, written from PROTOCOL.md alone: what the document says is enough, and true.

mod host;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use unglue_testkit::{Prng, chopper};

use host::Host;

/// How long the whole conversation may take.
const LIMIT: Duration = Duration::from_secs(50);

fn client() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/unglue_client.py")
}

fn start_client() -> std::io::Result<Child> {
    let mut command = Command::new("python3");
    command.arg("-B").arg(client()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

#[test]
fn a_python_client_written_from_the_document_gets_everything_done() {
    let mut child = match start_client() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("skipped: python3 can't be started: {error}");
            return;
        }
    };
    let complaints = collect(child.stderr.take().expect("piped"));
    let (ended, watch) = mpsc::channel();
    let mut from_client = child.stdout.take().expect("piped");
    let mut to_client = child.stdin.take().expect("piped");
    thread::spawn(move || {
        let mut host = Host::new();
        let mut random = Prng::new(1);
        let mut buffer = vec![0; 64 * 1024];
        // It ends with the client: at the end of its output, or when it takes no more input.
        while let Ok(len) = from_client.read(&mut buffer)
            && len > 0
        {
            let answer = host.hear(&buffer[..len]);
            let pieces = if answer.len() < 10_000 { chopper::random(&answer, &mut random) } else { vec![&answer[..]] };
            if pieces.into_iter().any(|piece| to_client.write_all(piece).is_err()) {
                break;
            }
        }
        // Nobody may be waiting any more.
        let _ = ended.send(());
    });
    let in_time = watch.recv_timeout(LIMIT);
    if in_time.is_err() {
        child.kill().expect("killed");
    }
    let status = child.wait().expect("it has ended");
    let said = complaints.join().expect("no panic");
    assert_eq!(in_time, Ok(()), "the server has failed, or time was up:\n{said}");
    assert!(status.success(), "the client failed ({status}):\n{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("ok: ")).count(), 7, "{said}");
}

fn collect(mut stderr: ChildStderr) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut said = String::new();
        stderr.read_to_string(&mut said).expect("text");
        said
    })
}
