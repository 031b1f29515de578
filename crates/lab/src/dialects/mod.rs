//! The tutorials' wire formats, as they are taught.
//!
//! | dialect | request | reply | what is wrong with it |
//! |---|---|---|---|
//! | [`bare`] | a line | the output's bytes, nothing else | nobody can tell where a reply ends |

pub mod bare;
