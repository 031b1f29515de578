pub use unglue_proto::message::exec::Lease;
