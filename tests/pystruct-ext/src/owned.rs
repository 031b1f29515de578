//! Owned references, and "an exception is set" as an error type.

use std::ffi::CStr;
use std::ptr::NonNull;

use pyo3_ffi::{Py_DECREF, Py_INCREF, PyErr_SetString, PyObject};

/// An exception is set in the interpreter; return its error value.
#[derive(Debug)]
pub(crate) struct Raised;

/// A reference that this value gives back when it is dropped.
pub(crate) struct Owned(NonNull<PyObject>);

impl Owned {
    /// Takes over a new reference; a null one means that an exception is set.
    pub(crate) unsafe fn new(object: *mut PyObject) -> Result<Owned, Raised> {
        NonNull::new(object).map(Owned).ok_or(Raised)
    }

    /// Adds a reference to a borrowed object, which isn't null.
    pub(crate) unsafe fn borrowed(object: *mut PyObject) -> Owned {
        Py_INCREF(object);
        Owned(NonNull::new_unchecked(object))
    }

    pub(crate) fn as_ptr(&self) -> *mut PyObject {
        self.0.as_ptr()
    }

    /// Hands the reference to a caller that takes it over.
    pub(crate) fn into_ptr(self) -> *mut PyObject {
        let object = self.0.as_ptr();
        std::mem::forget(self);
        object
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and everything here runs with the interpreter's lock held.
        unsafe { Py_DECREF(self.0.as_ptr()) }
    }
}

/// Raises `exception` with a message.
pub(crate) unsafe fn raise(exception: *mut PyObject, message: &CStr) -> Raised {
    PyErr_SetString(exception, message.as_ptr());
    Raised
}

/// A result for the interpreter: a new reference, or null with the exception set.
pub(crate) fn object_or_null(result: Result<Owned, Raised>) -> *mut PyObject {
    result.map_or(std::ptr::null_mut(), Owned::into_ptr)
}

/// A result for the interpreter: 0, or -1 with the exception set.
pub(crate) fn zero_or_minus_one(result: Result<(), Raised>) -> i32 {
    if result.is_ok() { 0 } else { -1 }
}
