//! The number in what was typed.

use std::fmt;

/// There is no number to explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unexplained {
    text: String,
}

impl fmt::Display for Unexplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no number in {:?}; give a number, hex such as 0x16030100, or the error message", self.text)
    }
}

impl std::error::Error for Unexplained {}

/// What is to be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) value: i128,
    /// The bytes in the field, where the text tells: hex digits do.
    pub(super) width: Option<usize>,
    pub(super) source: Option<String>,
    pub(super) limit: Option<u64>,
}

impl Given {
    /// The field's bytes, most significant first: four, or eight where the number needs them.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let needed = match self.value {
            value if value < 0 => {
                if i32::try_from(value).is_ok() {
                    4
                } else {
                    8
                }
            }
            value if value <= i128::from(u32::MAX) => 4,
            value if value <= i128::from(u64::MAX) => 8,
            _ => 16,
        };
        let width = self.width.unwrap_or(needed).clamp(1, 16);
        self.value.to_be_bytes()[16 - width..].to_vec()
    }
}

/// How a program says that a length is too large: what stands before the length, and before the limit. Text in lower case.
struct Message {
    source: &'static str,
    /// A piece of its text that no other has.
    mark: &'static str,
    /// What stands before the length.
    length: &'static str,
    /// What stands before the limit.
    limit: &'static str,
}

const fn message(source: &'static str, mark: &'static str, length: &'static str, limit: &'static str) -> Message {
    Message { source, mark, length, limit }
}

/// Longer marks first where one holds another.
const MESSAGES: &[Message] = &[
    message("Netty's LengthFieldBasedFrameDecoder", "adjusted frame length exceeds", ": ", "exceeds "),
    message("Netty", "adjusted frame length (", "length (", "than "),
    message("Netty", "negative pre-adjustment length", "field: ", ""),
    message("Netty's line decoder", "frame length (", "length (", "maximum ("),
    message("Kafka", "invalid receive (size", "size = ", "than "),
    message("Kafka", "invalidreceiveexception", "size = ", "than "),
    message("gRPC for Java", "grpc message exceeds maximum size", ": ", "size "),
    message("gRPC for Go", "grpc: received message larger than max", "(", "vs. "),
    message("gRPC", "received message larger than max", "(", "vs. "),
    message("gRPC", "received message exceeds", "exceeds ", "maximum "),
    message("tokio-util", "frame size too big", "", ""),
    message("Thrift for Java", "frame size (", "size (", "length ("),
    message("Thrift", "frame size", "frame size ", "max length "),
    message("OpenSSH", "bad packet length", "length ", ""),
    message("ZooKeeper", "packet len", "len", "exceeds "),
    message("ZooKeeper", "len error", "error ", ""),
    message("Hadoop", "rpc response exceeds maximum", "length ", "length "),
    message("Hadoop", "requested data length", "length ", "maximum "),
    message("Cassandra", "request is too big: length", "length ", "maximum allowed length "),
    message("MongoDB", "recv(): message msglen", "msglen ", "max is "),
    message("MongoDB", "message msglen", "msglen ", "max is "),
    message("MongoDB's driver", "is larger than the maximum", "length ", "maximum "),
    message("MongoDB's driver", "message length", "length ", "maximum "),
    message("PostgreSQL", "invalid length of startup packet", "packet", ""),
    message("PostgreSQL", "invalid message length", "length", ""),
    message("PostgreSQL", "unsupported frontend protocol", "protocol ", ""),
    message("MySQL", "packet bigger than", "(", "than "),
    message("MySQL", "packet for query is too large", "(", "> "),
    message("Redis", "invalid multibulk length", "length", ""),
    message("Redis", "invalid bulk length", "length", ""),
    message("RabbitMQ", "frame_too_large", "frame_too_large,", ","),
    message("Elasticsearch", "transport content length received", "[", "["),
    message("Elasticsearch", "invalid internal transport message format", "(", ""),
    message("nginx", "client intended to send too large body", "body: ", ""),
    message("nginx", "client intended to send too large chunked body", "body: ", "+"),
    message("Go", "cannot allocate", "allocate ", ""),
    message("Go", "makeslice: len out of range", "len ", ""),
    message("Rust", "memory allocation of", "of ", ""),
    message("Rust", "capacity overflow", "overflow", ""),
    message("Python", "cannot allocate memory", "", ""),
    message("Python's struct", "unpack requires a buffer of", "of ", ""),
    message("Java", "negativearraysizeexception", ": ", ""),
    message("Java", "requested array size exceeds", "exceeds ", ""),
    message("Node.js", "the value of \"size\" is out of range", "received ", "<= "),
    message("Node.js", "out of range", "received ", "<= "),
    message("ws (Node.js)", "max payload size exceeded", "", ""),
    message("Jetty", "text message too large", "size ", "max "),
    message("OpenSSH", "message authentication code incorrect", "", ""),
    message("PuTTY", "incoming packet length field was garbled", "", ""),
    message("Erlang", "invalid packet", "length ", ""),
    message("git", "bad line length character", "character: ", ""),
    message("git", "protocol error: bad line length", "length ", ""),
    message("unglue", "it announces", "announces ", "limit is "),
];

/// Reads what was typed.
pub(super) fn parse(text: &str) -> Result<Given, Unexplained> {
    let trimmed = text.trim();
    let none = || Unexplained { text: trimmed.chars().take(80).collect() };
    if let Some(given) = alone(trimmed) {
        return Ok(given);
    }
    let lower = trimmed.to_lowercase();
    let known = MESSAGES.iter().find(|message| lower.contains(message.mark));
    let numbers = numbers(trimmed);
    let source = known.map(|message| message.source.to_owned());
    // Git tells the four characters themselves.
    if let Some(four) =
        known.filter(|message| message.source == "git").and_then(|message| after(&lower, trimmed, message.length))
    {
        let bytes: Vec<u8> = four.bytes().take(4).collect();
        if bytes.len() == 4 && !bytes.iter().all(u8::is_ascii_digit) {
            let value = bytes.iter().fold(0, |value, byte| value << 8 | i128::from(*byte));
            return Ok(Given { value, width: Some(4), source, limit: None });
        }
    }
    let limit = known
        .filter(|message| !message.limit.is_empty())
        .and_then(|message| number_after(&lower, trimmed, message.limit));
    let limit = limit.and_then(|(number, _)| u64::try_from(number).ok());
    let told = known.filter(|message| !message.length.is_empty());
    let length = told.and_then(|message| number_after(&lower, trimmed, message.length));
    // Where limit and length were taken for the same number, and where the message isn't known: the largest is the length.
    let largest = || numbers.iter().copied().max_by_key(|(number, _)| number.unsigned_abs());
    let length = length.filter(|(number, _)| limit.is_none_or(|limit| i128::from(limit) != *number)).or_else(largest);
    let (value, width) = length.ok_or_else(none)?;
    let limit = limit.filter(|limit| i128::from(*limit) != value);
    let limit = limit.or_else(|| smaller(&numbers, value));
    Ok(Given { value, width, source, limit })
}

/// The other number of a message with two, if it is the smaller one: the limit.
fn smaller(numbers: &[(i128, Option<usize>)], value: i128) -> Option<u64> {
    let mut others = numbers.iter().map(|(number, _)| *number).filter(|number| *number != value && *number >= 64);
    let first = others.next()?;
    (others.next().is_none() && first < value).then(|| u64::try_from(first).ok())?
}

/// A number alone, in decimal, in hex with 0x, or bytes in hex.
fn alone(text: &str) -> Option<Given> {
    let given = |value, width| Some(Given { value, width, source: None, limit: None });
    let plain: String = text.chars().filter(|c| !matches!(c, '_' | ',' | '\'')).collect();
    if let Ok(value) = plain.parse::<i128>() {
        return given(value, None);
    }
    if let Some(hex) = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        let width = hex.len().div_ceil(2);
        return if width > 8 { None } else { given(i128::from_str_radix(hex, 16).ok()?, Some(width)) };
    }
    let cleaned = text.replace("\\x", " ").replace("0x", " ");
    let bytes: Vec<&str> = cleaned.split([' ', ':', ',']).filter(|piece| !piece.is_empty()).collect();
    let pairs = bytes.len() >= 2 && bytes.len() <= 8 && bytes.iter().all(|piece| piece.len() == 2);
    let joined = bytes.concat();
    let digits = joined.len() <= 16 && joined.len() >= 4 && joined.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_hex = digits && (pairs || (bytes.len() == 1 && joined.bytes().any(|byte| byte.is_ascii_alphabetic())));
    if is_hex && joined.len().is_multiple_of(2) {
        return given(i128::from_str_radix(&joined, 16).ok()?, Some(joined.len() / 2));
    }
    None
}

/// All numbers in a text, with their width where they are in hex.
fn numbers(text: &str) -> Vec<(i128, Option<usize>)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let inside = rest[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let negative =
            rest[..at].ends_with('-') && !rest[..at].trim_end_matches('-').ends_with(|c: char| c.is_alphanumeric());
        let (number, width, length) = number(&rest[at..]);
        if let Some(number) = number.filter(|_| !inside) {
            found.push((if negative { -number } else { number }, width));
        }
        rest = &rest[at + length..];
    }
    found
}

/// The number that a text begins with, its width where it is in hex, and its length in the text.
fn number(text: &str) -> (Option<i128>, Option<usize>, usize) {
    if let Some(hex) = text.strip_prefix("0x") {
        let digits = hex.bytes().take_while(u8::is_ascii_hexdigit).count();
        let value = i128::from_str_radix(&hex[..digits], 16).ok().filter(|_| digits <= 16);
        return (value, Some(digits.div_ceil(2)), 2 + digits);
    }
    let mut digits = String::new();
    let mut length = 0;
    for c in text.chars() {
        // Commas between thousands, as some messages have them.
        let comma = c == ',' && text[length + 1..].bytes().take(3).filter(u8::is_ascii_digit).count() == 3;
        match c {
            c if c.is_ascii_digit() => digits.push(c),
            _ if comma => {}
            _ => break,
        }
        length += c.len_utf8();
    }
    (digits.parse().ok(), None, length)
}

fn after<'a>(lower: &str, text: &'a str, mark: &str) -> Option<&'a str> {
    let at = lower.find(mark)? + mark.len();
    text.get(at..)
}

/// The first number behind the first place of `mark` that has one close behind it.
fn number_after(lower: &str, text: &str, mark: &str) -> Option<(i128, Option<usize>)> {
    lower.match_indices(mark).find_map(|(at, _)| {
        let rest = text.get(at + mark.len()..)?;
        let near: String = rest.chars().take(40).collect();
        let digit = near.find(|c: char| c.is_ascii_digit())?;
        let between = near[..digit].trim_start();
        let close = between.len() <= 12 && !between.contains(['.', ';']);
        let first = numbers(rest).into_iter().next();
        first.filter(|_| close)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_and_the_limit_are_taken_from_messages() {
        let long = [
            ("Adjusted frame length exceeds 1048576: 1213486160 - discarded", 1213486160, Some(1048576), "Netty"),
            (
                "org.apache.kafka.common.network.InvalidReceiveException: Invalid receive (size = 1195725856 larger than 104857600)",
                1195725856,
                Some(104857600),
                "Kafka",
            ),
            (
                "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (1213486160 vs. 4194304)",
                1213486160,
                Some(4194304),
                "gRPC",
            ),
            (
                "RESOURCE_EXHAUSTED: gRPC message exceeds maximum size 4194304: 369295616",
                369295616,
                Some(4194304),
                "gRPC",
            ),
            ("recv(): message msgLen 542393671 is invalid. Min 16 Max: 48000000", 542393671, None, "MongoDB"),
            ("Frame size (352518912) larger than max length (16384000)!", 352518912, Some(16384000), "Thrift"),
            ("Packet len1195725856 is out of range!", 1195725856, None, "ZooKeeper"),
            ("memory allocation of 1347375956 bytes failed", 1347375956, None, "Rust"),
            ("java.lang.NegativeArraySizeException: -2147418109", -2147418109, None, "Java"),
            ("Bad packet length 1349676916.", 1349676916, None, "OpenSSH"),
            (
                "FATAL:  unsupported frontend protocol 18245.21536: server supports 2.0 to 3.0",
                18245,
                None,
                "PostgreSQL",
            ),
            ("it announces 1195725856 bytes, the limit is 8388608", 1195725856, Some(8388608), "unglue"),
        ];
        for (text, value, limit, source) in long {
            let given = parse(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(given.value, value, "{text}");
            assert!(limit.is_none() || given.limit == limit, "{text}: {given:?}");
            assert!(given.source.as_deref().is_some_and(|told| told.contains(source)), "{text}: {given:?}");
        }
    }

    #[test]
    fn numbers_and_bytes_alone() {
        let value = |text: &str| parse(text).map(|given| (given.value, given.width));
        assert_eq!(value("1195725856"), Ok((1195725856, None)));
        assert_eq!(value(" 1_195_725_856 "), Ok((1195725856, None)));
        assert_eq!(value("-5"), Ok((-5, None)));
        assert_eq!(value("0x16030100"), Ok((0x16030100, Some(4))));
        assert_eq!(value("16 03 01 00"), Ok((0x16030100, Some(4))));
        assert_eq!(value("16030aff"), Ok((0x16030aff, Some(4))));
        assert_eq!(value("protocol error: bad line length character: HTTP"), Ok((0x48545450, Some(4))));
        for nothing in ["", "hello", "no number here"] {
            assert!(parse(nothing).is_err(), "{nothing}");
        }
    }
}
