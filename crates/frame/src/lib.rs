//! Message boundaries over byte streams, without IO.
