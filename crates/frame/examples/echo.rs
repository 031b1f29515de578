//! A server and a client over TCP whose messages stay whole: `cargo run --example echo --features std`.

use std::{
    error::Error,
    net::{TcpListener, TcpStream},
    thread,
};
use unglue_frame::{
    Framing,
    io::{FrameReader, FrameWriter},
};

fn main() -> Result<(), Box<dyn Error>> {
    let framing = Framing::u32be().max(1 << 20);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn({
        let framing = framing.clone();
        move || serve(&listener, framing).map_err(|error| error.to_string())
    });

    let stream = TcpStream::connect(address)?;
    let mut writer = FrameWriter::new(stream.try_clone()?, framing.clone());
    // Three messages in one piece: a bare `read` at the other end would see them glued together.
    for message in ["one", "two", "a longer one"] {
        writer.write(&[], message.as_bytes())?;
    }
    writer.flush()?;
    let mut reader = FrameReader::new(stream, framing);
    for _ in 0..3 {
        let frame = reader.next()?.ok_or("the server closed the connection early")?;
        println!("{}", String::from_utf8_lossy(frame.data()));
    }
    drop((reader, writer));
    server.join().map_err(|_| "the server panicked")??;
    Ok(())
}

/// Sends each message of one client back.
fn serve(listener: &TcpListener, framing: Framing) -> Result<(), unglue_frame::io::Error> {
    let (stream, _) = listener.accept()?;
    let mut reader = FrameReader::new(stream.try_clone()?, framing.clone());
    let mut writer = FrameWriter::new(stream, framing);
    while let Some(frame) = reader.next()? {
        writer.write(&[], frame.data())?;
        writer.flush()?;
    }
    Ok(())
}
