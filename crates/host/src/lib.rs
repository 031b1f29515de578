//! What touches the machine: processes and stores.
