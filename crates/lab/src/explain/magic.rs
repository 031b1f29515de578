//! First bytes by which protocols and files are known.

use super::Sure;

/// What begins with these bytes, and what to do about it.
pub(super) struct Magic {
    pub(super) bytes: &'static [u8],
    pub(super) sure: Sure,
    pub(super) what: &'static str,
    pub(super) next: &'static str,
}

const fn magic(bytes: &'static [u8], sure: Sure, what: &'static str, next: &'static str) -> Magic {
    Magic { bytes, sure, what, next }
}

const HTTP: &str =
    "an HTTP client is at the other end: check the port, and which browser, proxy or health check connects here";
const TLS: &str = "one end speaks TLS and the other doesn't: switch it on or off at one of them, or use the other port";
const FILE: &str =
    "the receiver reads a file's content as a header: is the header missing, or was the stream out of step before?";
const PLAIN: &str = "the peer speaks this protocol: check host and port at both ends";
const MEMORY: &str = "the buffer was never filled: check what the read returned before its bytes are used";

/// Four bytes or fewer; the longest that fits counts.
const MAGICS: &[Magic] = &[
    magic(b"GET ", Sure::Certain, "an HTTP request: `GET ` in ASCII", HTTP),
    magic(b"POST", Sure::Certain, "an HTTP request: `POST` in ASCII", HTTP),
    magic(b"PUT ", Sure::Certain, "an HTTP request: `PUT ` in ASCII", HTTP),
    magic(b"HEAD", Sure::Certain, "an HTTP request: `HEAD` in ASCII", HTTP),
    magic(b"DELE", Sure::Likely, "an HTTP request: `DELETE` begins so", HTTP),
    magic(b"OPTI", Sure::Likely, "an HTTP (or SIP, RTSP) request: `OPTIONS` begins so", HTTP),
    magic(b"PATC", Sure::Likely, "an HTTP request: `PATCH` begins so", HTTP),
    magic(b"CONN", Sure::Likely, "an HTTP CONNECT request, or STOMP's CONNECT: both begin so", HTTP),
    magic(
        b"HTTP",
        Sure::Certain,
        "an HTTP reply: `HTTP` in ASCII",
        "the server speaks HTTP: check the port, and whether a proxy or load balancer answered in its place",
    ),
    magic(
        b"PRI ",
        Sure::Certain,
        "the HTTP/2 preface: `PRI ` in ASCII",
        "the client speaks HTTP/2 in clear (gRPC does): connect it to an HTTP/2 port",
    ),
    magic(b"SSH-", Sure::Certain, "an SSH banner: `SSH-` in ASCII", PLAIN),
    magic(
        b"PROX",
        Sure::Likely,
        "the PROXY protocol's header: a load balancer puts it in front",
        "switch the PROXY protocol on at the server, or off at the load balancer",
    ),
    magic(
        b"\r\n\r\n",
        Sure::Likely,
        "the PROXY protocol version 2, or the end of HTTP headers",
        "behind a load balancer, switch the PROXY protocol on at the server; else the headers' end was taken for data",
    ),
    magic(
        b"Cont",
        Sure::Likely,
        "`Content-Length` or `Content-Type` begins so: a header in text",
        "the peer sends headers as language servers do: read it with the framing lsp",
    ),
    magic(b"AMQP", Sure::Certain, "AMQP's protocol header", PLAIN),
    magic(b"RFB ", Sure::Certain, "a VNC server's greeting", PLAIN),
    magic(b"EHLO", Sure::Likely, "an SMTP client", PLAIN),
    magic(b"HELO", Sure::Likely, "an SMTP client", PLAIN),
    magic(b"220 ", Sure::Likely, "the greeting of an SMTP or FTP server", PLAIN),
    magic(b"+OK ", Sure::Likely, "a POP3 server's greeting", PLAIN),
    magic(b"* OK", Sure::Likely, "an IMAP server's greeting", PLAIN),
    magic(b"-ERR", Sure::Likely, "an error of Redis or POP3, in text", "read the line: it says what was wrong"),
    magic(b"+PON", Sure::Certain, "Redis' `+PONG`", PLAIN),
    magic(b"PING", Sure::Likely, "`PING` in text", PLAIN),
    magic(b"INFO", Sure::Likely, "`INFO` in text: a NATS server's greeting begins so", PLAIN),
    magic(b"INVI", Sure::Likely, "SIP's INVITE begins so", PLAIN),
    magic(b"SIP/", Sure::Certain, "a SIP reply", PLAIN),
    magic(b"GIOP", Sure::Certain, "a CORBA message (GIOP)", PLAIN),
    magic(b"JRMI", Sure::Certain, "a Java RMI client", PLAIN),
    magic(
        b"\xac\xed\0\x05",
        Sure::Certain,
        "a serialized Java object",
        "the peer writes objects with ObjectOutputStream: read them so, or agree on a format",
    ),
    magic(
        b"\xff\xff\xff\xff",
        Sure::Likely,
        "-1 in 32 bits: the usual result of a call that failed, and of -1 written as unsigned",
        "check the results of read, write and size calls before they are used as a length",
    ),
    magic(b"\xffSMB", Sure::Certain, "an SMB1 header behind its length", PLAIN),
    magic(b"\xfeSMB", Sure::Certain, "an SMB2 header behind its length", PLAIN),
    magic(&[0x16, 3, 0], Sure::Likely, "the first record of an SSL 3.0 handshake", TLS),
    magic(&[0x16, 3, 1], Sure::Certain, "the first record of a TLS handshake (a ClientHello, mostly)", TLS),
    magic(&[0x16, 3, 2], Sure::Likely, "a TLS handshake record", TLS),
    magic(&[0x16, 3, 3], Sure::Certain, "a TLS handshake record (a ServerHello, mostly)", TLS),
    magic(&[0x15, 3, 1], Sure::Certain, "a TLS alert: the peer refuses what it got", TLS),
    magic(&[0x15, 3, 3], Sure::Certain, "a TLS alert: the peer refuses what it got", TLS),
    magic(&[0x17, 3, 3], Sure::Certain, "a TLS record with encrypted data", TLS),
    magic(&[0x14, 3, 3], Sure::Likely, "TLS's ChangeCipherSpec", TLS),
    magic(
        &[4, 0xd2, 0x16, 0x2f],
        Sure::Certain,
        "PostgreSQL's request for TLS (80877103)",
        "a PostgreSQL client connects here: check host and port, or answer with N or S",
    ),
    magic(
        &[0, 3, 0, 0],
        Sure::Likely,
        "PostgreSQL's protocol number 3.0 (196608)",
        "the length stands before it: read four bytes earlier",
    ),
    magic(&[0x1f, 0x8b, 8], Sure::Certain, "gzip data", FILE),
    magic(
        &[0x80, 1, 0],
        Sure::Likely,
        "a Thrift message in the binary protocol, without a frame's length",
        "one end frames messages (TFramedTransport) and the other doesn't: use the same transport at both",
    ),
    magic(b"PK\x03\x04", Sure::Certain, "a zip file (also jar, docx, apk)", FILE),
    magic(&[0x28, 0xb5, 0x2f, 0xfd], Sure::Certain, "a zstd frame", FILE),
    magic(&[0xfd, b'7', b'z', b'X'], Sure::Certain, "an xz file", FILE),
    magic(&[0x04, 0x22, 0x4d, 0x18], Sure::Certain, "an lz4 frame", FILE),
    magic(b"BZh", Sure::Likely, "a bzip2 file", FILE),
    magic(
        &[0x78, 0x9c],
        Sure::Possible,
        "zlib data at the usual level",
        "the message is compressed and its length missing or elsewhere",
    ),
    magic(b"\x89PNG", Sure::Certain, "a PNG image", FILE),
    magic(&[0xff, 0xd8, 0xff], Sure::Certain, "a JPEG image", FILE),
    magic(b"GIF8", Sure::Certain, "a GIF image", FILE),
    magic(b"%PDF", Sure::Certain, "a PDF file", FILE),
    magic(b"\x7fELF", Sure::Certain, "a Linux program (ELF)", FILE),
    magic(b"RIFF", Sure::Certain, "a RIFF file (wav, webp, avi)", FILE),
    magic(b"OggS", Sure::Certain, "an Ogg file", FILE),
    magic(&[0xca, 0xfe, 0xba, 0xbe], Sure::Certain, "a Java class file", FILE),
    magic(
        b"<?xm",
        Sure::Certain,
        "an XML document",
        "the peer sends XML without a length: look for the end tag, or agree on a framing",
    ),
    magic(b"<htm", Sure::Certain, "an HTML page", HTTP),
    magic(b"<!DO", Sure::Certain, "an HTML page (<!DOCTYPE)", HTTP),
    magic(
        &[0xef, 0xbb, 0xbf],
        Sure::Certain,
        "text in UTF-8 with a byte-order mark",
        "the sender writes text, and a mark before it: encode without the mark, and send a length first",
    ),
    magic(
        &[0xff, 0xfe],
        Sure::Likely,
        "text in UTF-16, little-endian, with a byte-order mark",
        "encode as UTF-8, and send a length first",
    ),
    magic(
        &[0xfe, 0xff],
        Sure::Likely,
        "text in UTF-16, big-endian, with a byte-order mark",
        "encode as UTF-8, and send a length first",
    ),
    magic(&[0xde, 0xad, 0xbe, 0xef], Sure::Certain, "the filler deadbeef of debuggers and allocators", MEMORY),
    magic(&[0xcd; 4], Sure::Certain, "memory that MSVC's debug heap has never seen written", MEMORY),
    magic(&[0xcc; 4], Sure::Certain, "stack memory that MSVC's debug build has never seen written", MEMORY),
    magic(&[0xdd; 4], Sure::Likely, "memory that MSVC's debug heap has freed", MEMORY),
    magic(&[0xfe, 0xee, 0xfe, 0xee], Sure::Certain, "memory that Windows has freed", MEMORY),
    magic(&[0xba, 0xad, 0xf0, 0x0d], Sure::Certain, "memory of Windows' heap, never written", MEMORY),
];

/// The one that fits these bytes best.
pub(super) fn find(bytes: &[u8]) -> Option<&'static Magic> {
    MAGICS.iter().filter(|magic| bytes.starts_with(magic.bytes)).max_by_key(|magic| magic.bytes.len())
}
