//! Chopper, relay, virtual clock and misbehaving peers for unglue's own tests.
