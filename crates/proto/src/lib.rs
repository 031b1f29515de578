//! The session protocol of unglue, without IO.
