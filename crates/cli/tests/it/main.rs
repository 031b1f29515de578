//! Integration tests of the `unglue` command and of the workspace around it. One binary, so that the suite links once.

mod house;
