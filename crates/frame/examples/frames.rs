//! Shows the frames of a file or of standard input: `cargo run --example frames --features std -- json FILE`.

use std::{env, error::Error, fs::File, io::Read};
use unglue_frame::{Framing, io::FrameReader};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let notation =
        arguments.next().ok_or("name a framing, such as u32be, lines, json or 'len:u16be type:u8 data[len]'")?;
    let framing: Framing = notation.parse()?;
    let input: Box<dyn Read> = match arguments.next() {
        Some(path) => Box::new(File::open(path)?),
        None => Box::new(std::io::stdin()),
    };
    let mut reader = FrameReader::new(input, framing);
    while let Some(frame) = reader.next()? {
        let fields: Vec<String> = frame.fields().map(|(name, value)| format!("{name}={value}")).collect();
        println!("{:>8}  {:>6} bytes  {}", frame.offset(), frame.data().len(), fields.join(" "));
    }
    Ok(())
}
