//! The sizes, counts and deadlines of the protocol and their defaults, in one place. A server's own (how long a connection may wait
//! for a place, how long a tree is killed) stand beside the code that keeps them.
//!
//! Sizes are in bytes. A peer that exceeds a size or a count of the
//! wire is at fault; budgets over a link and over a server refuse with [`crate::Code::Busy`], or make a writer wait.

use std::time::Duration;

/// The longest payload of one mux frame.
pub const FRAME_PAYLOAD: usize = 64 * 1024;

/// The longest control message: room for Linux's 2 MiB of arguments and environment, escaped as base64.
pub const CONTROL_MESSAGE: usize = 4 * 1024 * 1024;

/// The longest message before authentication has succeeded.
pub const AUTH_MESSAGE: usize = 16 * 1024;

/// Keys that a client may name in the one offer that a connection has; more are refused, and so is a second offer.
pub const AUTH_TRIES: usize = 6;

/// Credit that a new stream starts with: what its reader may be sent before it has read anything.
pub const INITIAL_WINDOW: u64 = 64 * 1024;

/// The first bytes of a file that are sent before the receiver has said what it has of it: what a first window carries.
pub const AHEAD: u64 = INITIAL_WINDOW;

/// Credit that a stream may grow to while its reader keeps up. An eighth of it may have been read and not yet granted again; the
/// rest is what a link of 1 Gbit/s holds in 117 ms.
pub const MAX_WINDOW: u64 = 16 * 1024 * 1024;

/// Bytes that one stream holds for its peer before its writer has to wait.
pub const SEND_BUFFER: usize = 256 * 1024;

/// The same of a stream that is compressed: the blocks on their way through compression, and as much behind them.
pub const PACKED_BUFFER: usize = 2 * SEND_BUFFER;

/// Credit that a stream which a person looks at may grow to ([`crate::mux::Mux::narrow`]): what is on its way when they interrupt
/// the program.
pub const NARROW_WINDOW: u64 = 256 * 1024;

/// The part of [`SEND_BUFFER`] that every stream has, whatever others hold.
pub const SEND_RESERVE: usize = 16 * 1024;

/// Connections of a process whose send buffer in the kernel may be larger than the system allows its programs, up to 16 MiB each.
pub const LONG_SEND_BUFFERS: usize = 32;

/// What a link holds unread: bytes in first windows, and control messages of operations under way. The stream that brings
/// more is refused with [`crate::Code::Busy`].
pub const LINK_UNREAD: u64 = 64 * 1024 * 1024;

/// Credit beyond first windows that a link grants at once: more, and windows stop growing.
pub const LINK_WINDOWS: u64 = 64 * 1024 * 1024;

/// What a link holds unsent beyond each stream's reserve: more, and writers wait for their own stream.
pub const LINK_UNSENT: u64 = 64 * 1024 * 1024;

/// [`LINK_UNREAD`] over all links of a server.
pub const SERVER_UNREAD: u64 = 512 * 1024 * 1024;

/// [`LINK_WINDOWS`] over all links of a server.
pub const SERVER_WINDOWS: u64 = 512 * 1024 * 1024;

/// [`LINK_UNSENT`] over all links of a server.
pub const SERVER_UNSENT: u64 = 512 * 1024 * 1024;

/// Bidirectional streams that one end may have open at once: operations under way.
pub const BIDIRECTIONAL_STREAMS: usize = 2048;

/// Unidirectional streams that one end may have open at once: two outputs for each operation.
pub const UNIDIRECTIONAL_STREAMS: usize = 2 * BIDIRECTIONAL_STREAMS;

/// Transfers of files that one link may have under way at once; more are refused with [`Busy`](crate::Code::Busy).
pub const TRANSFERS_PER_LINK: usize = 64;

/// Transfers of files that one server may have under way at once, over all its links.
pub const TRANSFERS_PER_SERVER: usize = 512;

/// Forwarded connections that one link may have at once; more are refused with [`Busy`](crate::Code::Busy). Their first windows
/// fit into [`LINK_UNREAD`], even if nobody reads any of them.
pub const CONNECTIONS_PER_LINK: usize = 1000;

/// Forwarded connections that one server may have at once, over all its links.
pub const CONNECTIONS_PER_SERVER: usize = 4000;

/// Places at which one link may have the server accept connections.
pub const LISTENERS_PER_LINK: usize = 64;

/// Places at which one server may accept connections for its clients.
pub const LISTENERS_PER_SERVER: usize = 512;

/// Bytes that a client accepts of a file whose size the server doesn't announce, as of files in `/proc`.
pub const UNANNOUNCED_FILE: u64 = 64 * 1024 * 1024;

/// The longest reason of a go-away.
pub const GO_AWAY_REASON: usize = 1024;

/// An end that has sent nothing for so long sends a ping.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// A link on which nothing has arrived for so long is lost.
pub const SILENCE: Duration = Duration::from_secs(30);

/// From the TCP connection to the end of the TLS handshake.
pub const HANDSHAKE: Duration = Duration::from_secs(10);

/// From the end of the handshake to the first message.
pub const FIRST_MESSAGE: Duration = Duration::from_secs(10);

/// From the server's request for a signature to the signature: a touch or a passphrase takes its time.
pub const SIGNATURE: Duration = Duration::from_secs(60);

/// From the client's hello to the server's welcome: the server may read files on a slow file system meanwhile.
pub const WELCOME: Duration = Duration::from_secs(25);

/// How long a server may take to connect to a place for a client, the lookup of its name included.
pub const CONNECT: Duration = Duration::from_secs(20);

/// From a connection that a server accepted for a client to the client's answer: it may have to connect, too.
pub const TAKE: Duration = Duration::from_secs(30);

/// From the end of a transfer's data to the message that reports what was sent. It is sent at once.
pub const FINAL_MESSAGE: Duration = Duration::from_secs(30);

/// How long an ended command's streams are drained before a surviving descendant is cut off.
pub const DRAIN: Duration = Duration::from_millis(200);

/// How long a command may wait for its turn where as many run as the server allows. Then it is refused.
pub const TURN: Duration = Duration::from_secs(60);

/// How long a server may take to report that a command has started: its turn, its start, and some time for the network.
pub const START: Duration = Duration::from_secs(90);

/// How long a server may take to report how a command ended, once the command has exited and its outputs have ended.
pub const OUTCOME: Duration = Duration::from_secs(30);

/// How long a tree of processes may take to end once it was asked to. A supervisor reports within two seconds.
pub const TREE_END: Duration = Duration::from_secs(10);

/// How long a server that was asked to stop waits for the operations under way.
pub const GO_AWAY_GRACE: Duration = Duration::from_secs(10);
