//! Who you are and how bytes travel: SSH keys, TLS 1.3, TCP.
