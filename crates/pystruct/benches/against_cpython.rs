//! One record of `<IHHQd`, by hand, by this crate and by CPython's `struct.Struct`, in turns in one run.
//!
//!     cargo bench -p unglue-struct
//!
//! Prints nanoseconds a record: the median of the rounds, the least and the most, and how many times the
//! hand-written code's median that is. `PYTHON` names the interpreter (`python3`).

use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use unglue_struct::{Format, Value};

const FORMAT: &str = "<IHHQd";
const RECORD: usize = 24;
/// Records in the buffer: 24 KiB, which stays in the first cache.
const RECORDS: usize = 1024;
/// A sample is the least of this many repeats of this many passes over the buffer, some milliseconds
/// each: so `timeit` advises, and so CPython is timed here too.
const REPEATS: usize = 5;
const PASSES: usize = 200;
const ROUNDS: usize = 21;

type Record = (u32, u16, u16, u64, f64);
type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let format = Format::parse(FORMAT)?;
    let buffer = records(&format)?;
    let mut python = Python::start().inspect_err(|error| eprintln!("skipped: CPython: {error}")).ok();
    let mut table: Vec<Row> = Vec::new();
    for _ in 0..ROUNDS {
        for (name, measure) in CONTENDERS {
            note(&mut table, name, measure(&format, &buffer));
        }
        if let Some(python) = &mut python {
            for (name, statement) in PYTHON_CONTENDERS {
                note(&mut table, name, python.time(statement)?);
            }
        }
    }
    print(&mut table);
    Ok(())
}

fn records(format: &Format) -> Outcome<Vec<u8>> {
    let mut buffer = Vec::with_capacity(RECORDS * RECORD);
    for n in 0..RECORDS as u32 {
        let words = (n, n as u16, !n as u16);
        buffer.extend(format.pack_as((words.0, words.1, words.2, u64::from(n) << 33, f64::from(n) / 3.0))?);
    }
    Ok(buffer)
}

type Measure = fn(&Format, &[u8]) -> f64;

const CONTENDERS: [(&str, Measure); 8] = [
    ("unpack: by hand", |_, buffer| each(buffer, by_hand)),
    ("unpack: unpack_as, a tuple", |format, buffer| {
        each(buffer, |bytes| black_box(format).unpack_as::<Record>(bytes).ok())
    }),
    ("unpack: unpack, values taken one by one", |format, buffer| {
        each(buffer, |bytes| from_values(black_box(format), bytes))
    }),
    ("unpack: unpack, values into an array", |format, buffer| {
        each(buffer, |bytes| into_array(black_box(format), bytes))
    }),
    ("unpack: unpack, values into a Vec", |format, buffer| each(buffer, |bytes| into_vec(black_box(format), bytes))),
    ("pack: by hand, into a buffer", |_, buffer| each(buffer, |_| pack_by_hand())),
    ("pack: pack_into", |format, buffer| each(buffer, |_| pack_into(black_box(format)))),
    ("pack: pack, a new Vec", |format, buffer| each(buffer, |_| black_box(format).pack(black_box(&VALUES)).ok())),
];

const PYTHON_CONTENDERS: [(&str, &str); 2] =
    [("unpack: CPython, Struct.unpack", "unpack(record)"), ("pack: CPython, Struct.pack", "pack(1, 2, 3, 4, 0.5)")];

static VALUES: [Value<'static>; 5] = [Value::Int(1), Value::Int(2), Value::Int(3), Value::Int(4), Value::Float(0.5)];

/// Nanoseconds a record. Neither the record nor the format is known to the compiler, nor what becomes of the
/// result.
fn each<'b, T>(buffer: &'b [u8], mut call: impl FnMut(&'b [u8]) -> T) -> f64 {
    let mut repeat = || {
        let started = Instant::now();
        for _ in 0..PASSES {
            for record in black_box(buffer).chunks_exact(RECORD) {
                black_box(call(black_box(record)));
            }
        }
        started.elapsed().as_nanos() as f64 / (PASSES * RECORDS) as f64
    };
    (0..REPEATS).map(|_| repeat()).fold(f64::INFINITY, f64::min)
}

/// What one writes where the format is known when the program is compiled.
fn by_hand(bytes: &[u8]) -> Option<Record> {
    if bytes.len() != RECORD {
        return None;
    }
    Some((
        u32::from_le_bytes(bytes[..4].try_into().ok()?),
        u16::from_le_bytes(bytes[4..6].try_into().ok()?),
        u16::from_le_bytes(bytes[6..8].try_into().ok()?),
        u64::from_le_bytes(bytes[8..16].try_into().ok()?),
        f64::from_le_bytes(bytes[16..].try_into().ok()?),
    ))
}

fn from_values(format: &Format, bytes: &[u8]) -> Option<Record> {
    let mut values = format.unpack(bytes).ok()?;
    let mut integer = || match values.next() {
        Some(Value::Int(number)) => Some(number as u64),
        _ => None,
    };
    let (a, b, c, d) = (integer()?, integer()?, integer()?, integer()?);
    match values.next() {
        Some(Value::Float(e)) => Some((a as u32, b as u16, c as u16, d, e)),
        _ => None,
    }
}

fn into_array<'b>(format: &Format, bytes: &'b [u8]) -> Option<[Value<'b>; 5]> {
    let mut array = [Value::Int(0); 5];
    for (place, value) in array.iter_mut().zip(format.unpack(bytes).ok()?) {
        *place = value;
    }
    Some(array)
}

fn into_vec<'b>(format: &Format, bytes: &'b [u8]) -> Option<Vec<Value<'b>>> {
    Some(format.unpack(bytes).ok()?.collect())
}

fn pack_by_hand() -> [u8; RECORD] {
    let (a, b, c, d, e): Record = black_box((1, 2, 3, 4, 0.5));
    let mut record = [0; RECORD];
    record[..4].copy_from_slice(&a.to_le_bytes());
    record[4..6].copy_from_slice(&b.to_le_bytes());
    record[6..8].copy_from_slice(&c.to_le_bytes());
    record[8..16].copy_from_slice(&d.to_le_bytes());
    record[16..].copy_from_slice(&e.to_le_bytes());
    record
}

fn pack_into(format: &Format) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    let packed = format.pack_into(&mut record, 0, black_box(&VALUES));
    black_box(packed.is_ok());
    record
}

/// An interpreter that times statements when it is asked to.
struct Python {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// Ten calls a turn, so that the loop of `timeit` weighs little; the least of five repeats.
const TIMER: &str = "
import struct, sys, timeit
s = struct.Struct('<IHHQd')
names = {'unpack': s.unpack, 'pack': s.pack, 'record': s.pack(1, 2, 3, 4, 0.5)}
print(sys.version.split()[0], flush=True)
for statement in sys.stdin:
    timer = timeit.Timer(';'.join([statement.strip()] * 10), globals=names)
    print(min(timer.repeat(5, 2000)) / 20000 * 1e9, flush=True)
";

impl Python {
    fn start() -> Outcome<Python> {
        let program = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        let mut child =
            Command::new(program).args(["-c", TIMER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let ask = child.stdin.take().ok_or("no stdin")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut python = Python { child, ask, answers };
        println!("CPython {}", python.answer()?);
        Ok(python)
    }

    fn time(&mut self, statement: &str) -> Outcome<f64> {
        writeln!(self.ask, "{statement}")?;
        Ok(self.answer()?.parse()?)
    }

    fn answer(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // A child that has ended already is what we want.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

struct Row {
    name: &'static str,
    samples: Vec<f64>,
}

fn note(table: &mut Vec<Row>, name: &'static str, sample: f64) {
    match table.iter_mut().find(|row| row.name == name) {
        Some(row) => row.samples.push(sample),
        None => table.push(Row { name, samples: vec![sample] }),
    }
}

fn print(table: &mut [Row]) {
    table.sort_by_key(|row| !row.name.starts_with("unpack"));
    println!("{FORMAT}, {ROUNDS} rounds in turns, ns a record");
    println!("{:<42} {:>8} {:>8} {:>8} {:>10}", "", "median", "least", "most", "by hand");
    let mut floor = f64::NAN;
    for row in table {
        row.samples.sort_by(f64::total_cmp);
        let (least, most) = (row.samples[0], row.samples[row.samples.len() - 1]);
        let median = row.samples[row.samples.len() / 2];
        if row.name.contains("by hand") {
            floor = median;
        }
        println!("{:<42} {median:>8.2} {least:>8.2} {most:>8.2} {:>9.1}x", row.name, median / floor);
    }
}
