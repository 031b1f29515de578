//! Run commands and move files on other machines, every message whole.
