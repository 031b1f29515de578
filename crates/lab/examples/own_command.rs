//! A command of your own on the tutorial's upload server: `cargo run -p unglue-lab --example own_command`
//!
//! The `header` dialect knows one command, `put`, which has no answer. Here the table gets a second one, `list`, which
//! answers with the stored files' names and sizes. One client is served step by step, another one by `run`.

use std::error::Error;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use unglue_lab::LabError;
use unglue_lab::dialects::header::{Call, Commands, Header};
use unglue_lab::server::{Event, ListeningTcpServer, Settings, TcpServer};

/// No wait of the client's is longer.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    // The table is all that a peer can call: a name that isn't in it is refused.
    let service = Header { commands: Commands::default().with("list", list) };
    println!("commands: {:?}", service.commands);
    step_by_step(directory.path(), &service)?;
    all_at_once(directory.path(), &service)
}

/// `{"cmd":"list"}`: the reply is its length as `struct.pack("i", n)`, then n bytes of JSON.
fn list(call: &mut Call<'_, '_>) -> Result<(), LabError> {
    let files = files_in(call.directory())
        .map_err(|source| LabError::Io { action: format!("list {}", call.directory().display()), source })?;
    let reply = Value::from(files).to_string();
    let length = i32::try_from(reply.len()).map_err(|_| LabError::Misuse {
        what: format!("a list of {} bytes", reply.len()),
        advice: "move some files elsewhere".into(),
    })?;
    // In one call: sent by itself, the length would be a segment of its own.
    call.reply(&[&length.to_ne_bytes(), reply.as_bytes()].concat())
}

/// Names with sizes, in order. What begins with a dot may be an upload under way.
fn files_in(directory: &Path) -> io::Result<Vec<Value>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            files.push((name, entry.metadata()?.len()));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(name, bytes)| json!({ "name": name, "bytes": bytes })).collect())
}

/// Each step consumes what the step before gave, so none can be forgotten.
fn server_on(directory: &Path) -> Result<ListeningTcpServer, LabError> {
    let settings = Settings { directory: directory.to_owned(), ..Settings::default() };
    let server = TcpServer::new(settings)?;
    let server = server.bind("127.0.0.1:0".parse().expect("an address"))?;
    server.activate()
}

/// One thread plays both: what the client sends waits in the kernel until the server takes it.
fn step_by_step(directory: &Path, service: &Header) -> Result<(), Box<dyn Error>> {
    println!("\nstep by step");
    let server = server_on(directory)?;
    let mut client = Client::connect(server.address())?;
    client.put("hello.txt", b"hello")?;
    client.ask_for_list()?;
    client.0.shutdown(Shutdown::Write)?;
    let request = server.accept()?.expect("nobody shuts it down");
    server.handle(request, service, &tell)?;
    println!("client: the list is {}", client.receive_list()?);
    server.shut_down();
    Ok(())
}

fn all_at_once(directory: &Path, service: &Header) -> Result<(), Box<dyn Error>> {
    println!("\nby run, with a stopper");
    let server = server_on(directory)?;
    let stopper = server.stopper();
    thread::scope(|scope| {
        let running = scope.spawn(|| server.run(service, &tell));
        let played = play(server.address());
        // Also where it failed: otherwise the server runs for ever.
        stopper.shut_down();
        running.join().expect("no panic")?;
        println!("the server has ended");
        Ok(played?)
    })
}

fn play(server: SocketAddr) -> io::Result<()> {
    let mut client = Client::connect(server)?;
    client.put("egg.txt", b"an egg")?;
    client.ask_for_list()?;
    // Messages keep their order, so this reply also says that the file is stored: `put` itself never does.
    println!("client: the list is {}", client.receive_list()?);
    client.send_header(&json!({ "cmd": "__init__" }))?;
    println!("client: __init__ gets {} bytes of reply", client.0.read(&mut [0])?);
    Ok(())
}

/// What the server does, a line for each event.
fn tell(_: SocketAddr, event: &Event<'_>) {
    match event {
        Event::Connected => println!("server: a client has connected"),
        Event::Stored { name, bytes } => println!("server: {name} is stored, {bytes} bytes"),
        Event::Ended { error: None } => println!("server: the client has left"),
        Event::Ended { error: Some(error) } => println!("server: closed, for {error}"),
        other => println!("server: {other:?}"),
    }
}

/// The other end, by hand.
struct Client(TcpStream);

impl Client {
    fn connect(server: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client(stream))
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.send_header(&json!({ "cmd": "put", "filename": name, "filesize": bytes.len() }))?;
        self.0.write_all(bytes)
    }

    fn ask_for_list(&mut self) -> io::Result<()> {
        self.send_header(&json!({ "cmd": "list" }))
    }

    /// `struct.pack("i", n)`, then the header's n bytes.
    fn send_header(&mut self, header: &Value) -> io::Result<()> {
        let header = header.to_string();
        let length = i32::try_from(header.len()).map_err(io::Error::other)?;
        self.0.write_all(&[&length.to_ne_bytes(), header.as_bytes()].concat())
    }

    /// Never one `read` for all: the length, whole, and then that many bytes.
    fn receive_list(&mut self) -> io::Result<String> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let length = u64::try_from(i32::from_ne_bytes(length)).map_err(io::Error::other)?;
        let mut list = String::new();
        match (&self.0).take(length).read_to_string(&mut list)? as u64 == length {
            true => Ok(list),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
