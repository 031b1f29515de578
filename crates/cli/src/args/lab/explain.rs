//! `unglue lab explain`.

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  unglue lab explain 1195725856
  unglue lab explain 0x16030100
  unglue lab explain '16 03 01 00'
  unglue lab explain 'Adjusted frame length exceeds 1048576: 1213486160 - discarded'
  unglue lab explain -- -2147418109

Known are the messages of Netty, Kafka, gRPC, Thrift, ZooKeeper, Hadoop, Cassandra, MongoDB,
PostgreSQL, MySQL, Redis, RabbitMQ, Elasticsearch, nginx, OpenSSH, git, and of the runtimes of
Go, Rust, Java, Python, Node.js and Erlang; of others the largest number is taken.

Exit status: 0; 1 if the value resembles nothing known; 125 if there is no number in it.";

/// Tell what an absurd length really is
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
