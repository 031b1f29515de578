//! What one instance of the module holds, and how a crate's error becomes an exception.

use std::ffi::CString;

use pyo3_ffi::{
    Py_CLEAR, Py_Version, Py_ssize_t, PyErr_NoMemory, PyExc_OverflowError, PyExc_RuntimeError, PyModule_GetState,
    PyObject, PyTypeObject, visitproc,
};
use unglue_struct::{Error, Exception, Python};

use crate::owned::{Raised, raise};

/// The module's state; the interpreter allocates it as zeros.
pub(crate) struct State {
    pub(crate) error: *mut PyObject,
    pub(crate) struct_type: *mut PyObject,
    pub(crate) iterator_type: *mut PyObject,
    /// Formats already parsed, by their text: a dict of `Struct` objects.
    pub(crate) cache: *mut PyObject,
}

impl State {
    pub(crate) const SIZE: Py_ssize_t = size_of::<State>() as Py_ssize_t;

    /// The state of a module object of ours.
    pub(crate) unsafe fn of<'a>(module: *mut PyObject) -> &'a mut State {
        &mut *PyModule_GetState(module).cast()
    }

    pub(crate) fn iterator_type(&self) -> *mut PyTypeObject {
        self.iterator_type.cast()
    }

    /// Sets the exception that CPython of this version raises, with its words.
    pub(crate) unsafe fn raise(&self, error: &Error) -> Raised {
        let exception = match error.exception() {
            Exception::StructError => self.error,
            Exception::OverflowError => PyExc_OverflowError,
            Exception::MemoryError => {
                PyErr_NoMemory();
                return Raised;
            }
            // The rest can't come from here: a test would show this message.
            _ => PyExc_RuntimeError,
        };
        let message = CString::new(self.message(error)).unwrap_or_default();
        raise(exception, &message)
    }

    /// The error in the words of the interpreter that runs us.
    pub(crate) fn message(&self, error: &Error) -> String {
        error.says(python()).to_string()
    }

    pub(crate) unsafe fn traverse(&self, visit: visitproc, arg: *mut std::ffi::c_void) -> i32 {
        [self.error, self.struct_type, self.iterator_type, self.cache]
            .into_iter()
            .filter(|object| !object.is_null())
            .map(|object| visit(object, arg))
            .find(|result| *result != 0)
            .unwrap_or(0)
    }

    pub(crate) unsafe fn clear(&mut self) {
        Py_CLEAR(&mut self.error);
        Py_CLEAR(&mut self.struct_type);
        Py_CLEAR(&mut self.iterator_type);
        Py_CLEAR(&mut self.cache);
    }
}

/// Whose words the interpreter that runs us speaks.
fn python() -> Python {
    // SAFETY: a constant of the interpreter.
    let version = unsafe { Py_Version };
    if version < 0x030c_0000 { Python::V3_11 } else { Python::V3_13 }
}
