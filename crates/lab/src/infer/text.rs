//! Text, and what ends its messages.

use super::Verdict;
use super::column::Column;
use super::parse::{End, Parse, count};
use super::score::Corpus;
use super::search::{Found, Kind};

/// Starts of messages that are looked at.
const STARTS: i64 = 4;
/// What a place among the first bytes has to save before it counts, in bits.
const CHOICE: f64 = 1.5;
/// The share of bytes that must be text for a delimiter to be looked for.
const TEXT: f64 = 0.96;

/// Whether a byte stands in text. Bytes above ASCII may be UTF-8, or another encoding.
fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | 0x1b | b' '..=b'~' | 0x80..)
}

/// Messages that end with a delimiter.
pub(super) fn delimited(corpus: &Corpus<'_>) -> Vec<Found> {
    let all = corpus.size() as f64;
    let ascii = corpus.streams.iter().flat_map(|stream| &stream.bytes).filter(|byte| byte.is_ascii()).count() as f64;
    if corpus.streams.iter().any(|stream| stream.bytes.is_empty()) || ascii < 0.6 * all && !is_utf8(corpus) {
        return Vec::new();
    }
    delimiters(corpus).into_iter().filter_map(|delimiter| judge(corpus, &delimiter)).collect()
}

fn is_utf8(corpus: &Corpus<'_>) -> bool {
    corpus.streams.iter().all(|stream| match std::str::from_utf8(&stream.bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    })
}

/// What may end a message: line ends, control characters, and the punctuation that ends the stream.
fn delimiters(corpus: &Corpus<'_>) -> Vec<Vec<u8>> {
    let mut delimiters: Vec<Vec<u8>> = Vec::new();
    let has = |byte: u8| corpus.streams.iter().all(|stream| stream.bytes.contains(&byte));
    let feeds = || corpus.streams.iter().flat_map(|stream| stream.bytes.windows(2).filter(|pair| pair[1] == b'\n'));
    match has(b'\n') {
        true if feeds().count() > 0 && feeds().all(|pair| pair[0] == b'\r') => delimiters.push(b"\r\n".into()),
        true => delimiters.push(b"\n".into()),
        false => {}
    }
    delimiters.extend(
        (0..0x20)
            .filter(|byte| !matches!(byte, b'\n' | b'\t' | 0x1b) && has(*byte) && !(*byte == b'\r' && has(b'\n')))
            .map(|byte| vec![byte]),
    );
    let last = corpus.streams.iter().map(|stream| stream.bytes.last().copied().unwrap_or(0)).collect::<Vec<_>>();
    if last[0].is_ascii_punctuation() && last.iter().all(|byte| *byte == last[0]) {
        delimiters.push(vec![last[0]]);
    }
    let ending = |length: usize| {
        let end = corpus.streams[0].bytes.len().checked_sub(length).map(|at| corpus.streams[0].bytes[at..].to_vec());
        end.filter(|end| corpus.streams.iter().all(|stream| stream.bytes.ends_with(end)))
            .filter(|end| end[0] < 0x20 && end.iter().any(|byte| !matches!(byte, b'\r' | b'\n')))
    };
    // A longer end only where its last byte stands nowhere else: else that byte alone is the plainer one.
    let occurrences = |delimiter: &[u8]| {
        let windows = corpus.streams.iter().flat_map(|stream| stream.bytes.windows(delimiter.len()));
        windows.filter(|window| *window == delimiter).count()
    };
    let longer = [2, 3]
        .into_iter()
        .filter_map(ending)
        .filter(|end| occurrences(end) == occurrences(&end[end.len() - 1..]) || end.ends_with(b"\r"));
    let longer: Vec<Vec<u8>> = longer.collect();
    delimiters.extend(longer);
    delimiters
}

fn split(bytes: &[u8], delimiter: &[u8]) -> Parse {
    let (mut ends, mut from) = (Vec::new(), 0);
    while let Some(at) = bytes[from..].windows(delimiter.len()).position(|window| window == delimiter) {
        from += at + delimiter.len();
        ends.push(from as i64);
    }
    let end = if from == bytes.len() { End::Exact } else { End::Cut(0) };
    Parse { start: 0, ends, end }
}

fn judge(corpus: &Corpus<'_>, delimiter: &[u8]) -> Option<Found> {
    let parses: Vec<Parse> = corpus.streams.iter().map(|stream| split(&stream.bytes, delimiter)).collect();
    let frames = count(&parses);
    let odd = corpus.streams.iter().flat_map(|stream| &stream.bytes).filter(|byte| !is_text(**byte)).count();
    let own = frames * delimiter.iter().filter(|byte| !is_text(**byte)).count();
    let text = 1.0 - (odd - own) as f64 / corpus.size() as f64;
    // Zero bytes all over are UTF-16, not the ends of messages.
    let wide = delimiter == [0] && corpus.size() < 6 * frames;
    if frames == 0 || text < TEXT || wide {
        return None;
    }
    let bodies: Vec<&[u8]> = bodies(corpus, &parses, delimiter.len());
    let blank = bodies.iter().filter(|body| body.is_empty()).count();
    let starts = starts(corpus, &parses, delimiter);
    let line_end = delimiter.ends_with(b"\n");
    let control = delimiter[0] < 0x20;
    let mut because = vec![format!("{:.0} % of the other bytes are text", text * 100.0)];
    let mut bits = -4.0 + starts;
    bits += match delimiter {
        b"\n" | b"\r\n" => 12.0,
        b"\0" => (5.0 * frames as f64).min(20.0),
        _ if delimiter.len() > 1 => 10.0,
        _ if control => 6.0,
        _ => -4.0,
    };
    for (stream, parse) in corpus.streams.iter().zip(&parses) {
        bits += match parse.end {
            End::Exact => corpus.background.cost_alone(delimiter[delimiter.len() - 1]),
            End::Cut(_) if stream.ends => -4.0,
            End::Cut(_) => 0.0,
        };
    }
    bits -= 2.0 * (odd - own) as f64;
    let json = bodies.iter().filter(|body| is_json(body)).count();
    let all_json = json == bodies.len();
    if all_json {
        bits += 3.0 * json.min(30) as f64;
        because.push("each is a JSON text".into());
    }
    if starts > 0.0 {
        because.push(format!("how they start saves {starts:.0} bits"));
    }
    let numbered = bodies.iter().filter(|body| tells_its_length(body, delimiter.len())).count() * 2 > bodies.len();
    let blocks = line_end && blank > 0;
    let at_most = match frames {
        _ if numbered || blocks => Verdict::Ambiguous,
        0..=4 if parses.iter().any(|parse| parse.end != End::Exact) => Verdict::Ambiguous,
        0..=1 => Verdict::Ambiguous,
        3.. if all_json && line_end => Verdict::Certain,
        10.. if line_end && starts >= 12.0 => Verdict::Certain,
        3.. if delimiter == [0] => Verdict::Certain,
        _ if line_end && starts < 3.0 => Verdict::Ambiguous,
        _ => Verdict::Likely,
    };
    if blocks {
        bits -= 10.0;
        because.push(format!("{blank} of {frames} lines are empty: the messages may be blocks of lines"));
    }
    if numbered {
        bits = (bits - 20.0) * 0.3;
        because.push("most begin with their own length in text".into());
    }
    if !control && !constant_start(&bodies) {
        return None;
    }
    let notation = match delimiter {
        b"\n" => "lines".into(),
        b"\r\n" => "crlf".into(),
        b"\0" => "nul".into(),
        other => format!("delim(\"{}\")", escaped(other)),
    };
    let parts = if bits > 0.0 { Some(()) } else { None };
    parts.map(|()| Found { kind: Kind::Named { notation, because }, parses, bits, at_most })
}

fn constant_start(bodies: &[&[u8]]) -> bool {
    let first = bodies[0].first();
    bodies.len() >= 3 && first.is_some() && bodies.iter().all(|body| body.first() == first)
}

fn bodies<'a>(corpus: &'a Corpus<'_>, parses: &'a [Parse], delimiter: usize) -> Vec<&'a [u8]> {
    let streams = corpus.streams.iter().zip(parses);
    streams
        .flat_map(|(stream, parse)| {
            parse
                .frames()
                .map(move |(start, total)| &stream.bytes[start as usize..(start + total) as usize - delimiter])
        })
        .collect()
}

/// How much better the first bytes of messages can be foretold than those of words.
fn starts(corpus: &Corpus<'_>, parses: &[Parse], delimiter: &[u8]) -> f64 {
    let words = words(corpus);
    let mut gain = 0.0;
    for at in 0..STARTS {
        let mut column = Column::default();
        for (stream, parse) in corpus.streams.iter().zip(parses) {
            for (start, total) in parse.frames().skip(1).take(200) {
                if at < total - delimiter.len() as i64 {
                    let byte = stream.bytes[(start + at) as usize];
                    let alone = corpus.background.cost_alone(byte);
                    let cost = if at == 0 {
                        words[usize::from(byte)].min(alone)
                    } else {
                        alone.min(corpus.background.cost(&stream.bytes, (start + at) as usize))
                    };
                    column.push(byte, cost);
                }
            }
        }
        gain += (column.gain() - CHOICE).max(0.0);
    }
    gain
}

/// The bits of a byte behind a space.
fn words(corpus: &Corpus<'_>) -> Vec<f64> {
    let mut counts = vec![0.0; 256];
    let mut all = 0.0;
    for stream in corpus.streams {
        for pair in stream.bytes.windows(2).filter(|pair| pair[0] == b' ') {
            counts[usize::from(pair[1])] += 1.0;
            all += 1.0;
        }
    }
    let bits = |(byte, count): (usize, f64)| {
        let share = corpus.background.share(byte as u8);
        -((count + 8.0 * share) / (all + 8.0)).log2()
    };
    counts.into_iter().enumerate().map(bits).collect()
}

fn is_json(body: &[u8]) -> bool {
    let begins = body.iter().find(|byte| !byte.is_ascii_whitespace());
    begins.is_some_and(|byte| matches!(byte, b'{' | b'['))
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

/// Whether a message begins with a number, decimal or of four hexadecimal digits, that is about its own length.
fn tells_its_length(body: &[u8], delimiter: usize) -> bool {
    let whole = body.len() + delimiter;
    let near = |number: usize| number > 4 && number <= whole && number + 8 >= whole;
    let hex = body.get(..4).and_then(|digits| std::str::from_utf8(digits).ok());
    let hex = hex.and_then(|digits| usize::from_str_radix(digits, 16).ok());
    let digits = body.iter().take_while(|byte| byte.is_ascii_digit()).count().min(9);
    let decimal = std::str::from_utf8(&body[..digits]).ok().and_then(|digits| digits.parse().ok());
    hex.is_some_and(near) || decimal.is_some_and(near)
}

fn escaped(bytes: &[u8]) -> String {
    let one = |byte: &u8| match byte {
        b'\r' => "\\r".into(),
        b'\n' => "\\n".into(),
        b'\t' => "\\t".into(),
        b'\\' => "\\\\".into(),
        b'"' => "\\\"".into(),
        b' '..=b'~' => char::from(*byte).to_string(),
        byte => format!("\\x{byte:02x}"),
    };
    bytes.iter().map(one).collect()
}
