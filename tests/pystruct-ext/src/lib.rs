//! The extension module `_struct`, served by unglue-struct, for CPython's own tests to run on.
//!
//! `struct.py` imports everything from `_struct`; where this library lies first on `PYTHONPATH`,
//! Python's `struct` is unglue's. What belongs to Python stays on this side: reading arguments, calling
//! `__index__`, `__float__` and `__bool__`, raising exceptions. Formats, bytes and words come from the crate.
//!
//! Every function here that the interpreter calls is `unsafe extern "C"` with one contract: the
//! interpreter's lock is held, and the objects are of the kinds that the tables of this crate declare.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn)]

mod calls;
mod convert;
mod iterator;
mod module;
mod owned;
mod state;
mod structure;

use pyo3_ffi::{PyModuleDef_Init, PyObject};

/// What the interpreter looks up when it imports the library.
///
/// # Safety
///
/// For the interpreter alone: see the crate's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn PyInit__struct() -> *mut PyObject {
    PyModuleDef_Init(module::definition())
}
