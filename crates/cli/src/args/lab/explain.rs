//! `unglue lab explain`.

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  unglue lab explain 1195725856
  unglue lab explain 0x16030100
  unglue lab explain '16 03 01 00'
  unglue lab explain 'Adjusted frame length exceeds 1048576: 1213486160 - discarded'
  unglue lab explain -- -2147418109

explain knows the messages of Netty, Kafka, gRPC, Thrift, ZooKeeper, Hadoop, Cassandra, MongoDB,
PostgreSQL, MySQL, Redis, RabbitMQ, Elasticsearch, nginx, OpenSSH, git, and of the runtimes of
Go, Rust, Java, Python, Node.js and Erlang. In other texts it takes the largest number.

Exit status: 0; 1 if no known meaning fits the value; 125 if it contains no number.";

/// Explain an impossible length: which bytes it really is
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct LabExplainArgs {
    /// A number, hex, or the text of an error message
    #[arg(value_name = "VALUE", required = true, num_args = 1.., allow_negative_numbers = true)]
    pub(crate) words: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}
