//! How a static program looks up the names of users and hosts.
//!
//! glibc loads the modules that nsswitch.conf(5) names when they are first used. In a static program that brings a second C library
//! into the process, of whatever version the machine has. So a static program is told to use what is built in: the files in /etc and DNS.
//! Users that only another source knows are asked from getent(1) (`unglue_host::process`).

#![allow(unsafe_code)]

/// Sets the sources, before the first lookup and while there is one thread.
#[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
pub(crate) fn use_what_is_built_in() {
    use std::ffi::{CStr, c_char, c_int};

    // SAFETY: this is the declaration in nss.h.
    unsafe extern "C" {
        /// nss.h
        fn __nss_configure_lookup(database: *const c_char, sources: *const c_char) -> c_int;
    }
    const SOURCES: [(&CStr, &CStr); 4] =
        [(c"passwd", c"files"), (c"group", c"files"), (c"hosts", c"files dns"), (c"services", c"files")];
    for (database, sources) in SOURCES {
        // SAFETY: both are C strings that live for ever, and no other thread is there that looks something up.
        unsafe { __nss_configure_lookup(database.as_ptr(), sources.as_ptr()) };
    }
}

/// A program with shared libraries asks whatever the machine has.
#[cfg(not(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static")))]
pub(crate) fn use_what_is_built_in() {}
