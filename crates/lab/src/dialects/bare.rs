//! The first dialect: a line goes out, raw output comes back, and nothing says where it ends.
//!
//! The server runs each received line through `sh -c` and sends what it printed, standard output and error together.
//! The client sends a line and calls `recv(1024)` once: whatever that gives, it takes for the reply. On a fast network
//! with short replies this works nearly always, which is what makes it a trap.

use std::io::{BufRead as _, BufReader, PipeReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::LabError;

/// The buffer of the tutorial's client, in bytes.
pub const RECV: usize = 1024;

/// How long any single step may take: a connection, a command, a `recv`.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Serves one connection until the client has sent all its lines: each runs in `folder`, and its output goes back
/// raw. `ran` hears the length of each reply, in bytes, before its first byte is sent.
///
/// # Errors
/// [`LabError::Deadline`] if a command, or the client, takes longer than [`PATIENCE`]; [`LabError::Io`] otherwise.
pub fn serve(connection: TcpStream, folder: &Path, ran: &mpsc::Sender<u64>) -> Result<(), LabError> {
    set_deadlines(&connection)?;
    let mut lines = BufReader::new(connection.try_clone().map_err(LabError::of("share a socket", PATIENCE))?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).map_err(LabError::of("receive a command", PATIENCE))? > 0 {
        let reply = run(line.trim_ascii_end(), folder)?;
        // A scene that has failed no longer listens; its error is the one that counts.
        let _ = ran.send(reply.len() as u64);
        (&connection).write_all(&reply).map_err(LabError::of("send a reply", PATIENCE))?;
        line.clear();
    }
    Ok(())
}

/// The tutorial's client.
#[derive(Debug)]
pub struct Client(TcpStream);

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`LabError`], after [`PATIENCE`] at the latest.
    pub fn connect(address: SocketAddr) -> Result<Client, LabError> {
        let connection = TcpStream::connect_timeout(&address, PATIENCE).map_err(LabError::of("connect", PATIENCE))?;
        set_deadlines(&connection)?;
        Ok(Client(connection))
    }

    /// The client's own address.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Sends a line, calls `recv(1024)` once, and takes what comes for the reply. That is the mistake.
    ///
    /// # Errors
    /// [`LabError`], after [`PATIENCE`] at the latest.
    pub fn ask(&mut self, command: &str) -> Result<Vec<u8>, LabError> {
        self.0.write_all(format!("{command}\n").as_bytes()).map_err(LabError::of("send a command", PATIENCE))?;
        self.receive()
    }

    /// One `recv(1024)`: from 1 to 1024 bytes, or none at the connection's end.
    ///
    /// # Errors
    /// [`LabError`], after [`PATIENCE`] at the latest.
    pub fn receive(&mut self) -> Result<Vec<u8>, LabError> {
        let mut buffer = [0; RECV];
        let n = self.0.read(&mut buffer).map_err(LabError::of("receive a reply", PATIENCE))?;
        Ok(buffer[..n].to_vec())
    }
}

fn set_deadlines(connection: &TcpStream) -> Result<(), LabError> {
    connection
        .set_nodelay(true)
        .and_then(|()| connection.set_read_timeout(Some(PATIENCE)))
        .and_then(|()| connection.set_write_timeout(Some(PATIENCE)))
        .map_err(LabError::of("set a socket's deadlines", PATIENCE))
}

/// Runs a line through the shell and gives what it printed, both streams in the order in which they came.
fn run(line: &[u8], folder: &Path) -> Result<Vec<u8>, LabError> {
    let (printed, mut child) = start(line, folder).map_err(LabError::of("run a command", PATIENCE))?;
    let (sender, receiver) = mpsc::channel();
    // The reader has a thread of its own, so that a command which never ends can be given up. It ends with the pipe.
    thread::spawn(move || sender.send(read_all(printed)));
    let printed = receiver.recv_timeout(PATIENCE);
    if printed.is_err() {
        // It may have ended in this very moment.
        let _ = child.kill();
    }
    child.wait().map_err(LabError::of("wait for a command", PATIENCE))?;
    match printed {
        Ok(printed) => printed.map_err(LabError::of("read a command's output", PATIENCE)),
        Err(_) => Err(LabError::Deadline { what: "a command's end", after: PATIENCE }),
    }
}

fn start(line: &[u8], folder: &Path) -> std::io::Result<(PipeReader, Child)> {
    use std::os::unix::ffi::OsStrExt as _;
    let (reader, writer) = std::io::pipe()?;
    let mut command = Command::new("sh");
    command.arg("-c").arg(std::ffi::OsStr::from_bytes(line)).current_dir(folder);
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let child = command.spawn()?;
    // `command` goes out of scope here, and with it our own copies of the pipe's writing end.
    Ok((reader, child))
}

fn read_all(mut printed: PipeReader) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    printed.read_to_end(&mut all)?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_gives_both_its_streams() {
        let printed = run(b"echo out; echo err >&2", Path::new("/")).expect("it runs");
        assert_eq!(printed, b"out\nerr\n");
    }

    #[test]
    fn a_command_runs_in_its_folder() {
        assert_eq!(run(b"pwd", Path::new("/usr")).expect("it runs"), b"/usr\n");
    }
}
