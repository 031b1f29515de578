//! What `struct`'s functions and `Struct`'s methods share: one call on a parsed format each.

use std::slice;

use pyo3_ffi::{
    Py_buffer, Py_ssize_t, PyArg_Parse, PyBUF_SIMPLE, PyBuffer_Release, PyBytes_FromStringAndSize, PyExc_IndexError,
    PyExc_OverflowError, PyLong_AsSsize_t, PyLong_Check, PyNumber_AsSsize_t, PyNumber_Index, PyObject,
    PyObject_GetBuffer, PyTuple_GetItem, PyTuple_Size,
};
use unglue_struct::{Call, Code, Error, FieldError, Format};

use crate::convert::{to_tuple, to_value};
use crate::owned::{Owned, Raised, raise};
use crate::state::State;

/// Either the crate refused a value, or Python raised while one was converted.
enum Failure {
    Struct(Error),
    Raised,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Struct(error)
    }
}

/// The positional arguments from some index on.
#[derive(Clone, Copy)]
pub(crate) struct Arguments {
    tuple: *mut PyObject,
    first: Py_ssize_t,
}

impl Arguments {
    pub(crate) fn new(tuple: *mut PyObject, first: Py_ssize_t) -> Arguments {
        Arguments { tuple, first }
    }

    pub(crate) unsafe fn len(self) -> usize {
        (PyTuple_Size(self.tuple) - self.first).max(0) as usize
    }

    /// A borrowed argument; `index` is less than [`len`](Self::len).
    pub(crate) unsafe fn get(self, index: usize) -> *mut PyObject {
        PyTuple_GetItem(self.tuple, self.first + index as Py_ssize_t)
    }

    pub(crate) fn skip(self, count: usize) -> Arguments {
        Arguments { first: self.first + count as Py_ssize_t, ..self }
    }
}

/// A buffer of bytes on loan from an object.
pub(crate) struct Buffer(Py_buffer);

impl Buffer {
    /// `bytes`, `bytearray`, `memoryview` and the like.
    pub(crate) unsafe fn readable(object: *mut PyObject) -> Result<Buffer, Raised> {
        let mut buffer = Buffer(Py_buffer::new());
        match PyObject_GetBuffer(object, &mut buffer.0, PyBUF_SIMPLE) {
            0 => Ok(buffer),
            _ => Err(Raised),
        }
    }

    unsafe fn writable(object: *mut PyObject) -> Result<Buffer, Raised> {
        let mut buffer = Buffer(Py_buffer::new());
        match PyArg_Parse(object, c"w*".as_ptr(), &raw mut buffer.0) {
            0 => Err(Raised),
            _ => Ok(buffer),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len as usize
    }

    pub(crate) unsafe fn bytes(&self) -> &[u8] {
        if self.0.len == 0 { &[] } else { slice::from_raw_parts(self.0.buf.cast(), self.len()) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: a buffer that was never filled has no object, and releasing it does nothing.
        unsafe { PyBuffer_Release(&mut self.0) }
    }
}

pub(crate) unsafe fn pack(state: &State, format: &Format, arguments: Arguments) -> Result<Owned, Raised> {
    check_count(state, Call::Pack, format, arguments)?;
    let mut record = zeros(state, format.size())?;
    fill(state, format, &mut record, arguments)?;
    Owned::new(PyBytes_FromStringAndSize(record.as_ptr().cast(), record.len() as Py_ssize_t))
}

/// Packs into a copy of the record's place and writes it back as a whole: a value may lie in the very
/// buffer that is written to.
pub(crate) unsafe fn pack_into(state: &State, format: &Format, arguments: Arguments) -> Result<(), Raised> {
    match arguments.len() {
        0 => return Err(raise(state.error, c"pack_into expected buffer argument")),
        1 => return Err(raise(state.error, c"pack_into expected offset argument")),
        _ => check_count(state, Call::PackInto, format, arguments.skip(2))?,
    }
    let buffer = Buffer::writable(arguments.get(0))?;
    let offset = PyNumber_AsSsize_t(arguments.get(1), PyExc_IndexError);
    if offset == -1 && !pyo3_ffi::PyErr_Occurred().is_null() {
        return Err(Raised);
    }
    let place = format.place(Call::PackInto, offset, buffer.len()).map_err(|error| state.raise(&error))?;
    let mut record = zeros(state, format.size())?;
    let result = fill(state, format, &mut record, arguments.skip(2));
    if !record.is_empty() {
        let target = buffer.0.buf.cast::<u8>().add(place.start);
        std::ptr::copy_nonoverlapping(record.as_ptr(), target, record.len());
    }
    result
}

pub(crate) unsafe fn unpack(state: &State, format: &Format, object: *mut PyObject) -> Result<Owned, Raised> {
    let buffer = Buffer::readable(object)?;
    let values = format.unpack(buffer.bytes()).map_err(|error| state.raise(&error))?;
    to_tuple(values)
}

/// `offset` may be null, for 0.
pub(crate) unsafe fn unpack_from(
    state: &State,
    format: &Format,
    object: *mut PyObject,
    offset: *mut PyObject,
) -> Result<Owned, Raised> {
    let buffer = Buffer::readable(object)?;
    let offset = if offset.is_null() { 0 } else { ssize(offset)? };
    let values = format.unpack_from(buffer.bytes(), offset).map_err(|error| state.raise(&error))?;
    to_tuple(values)
}

unsafe fn ssize(object: *mut PyObject) -> Result<Py_ssize_t, Raised> {
    let number = Owned::new(PyNumber_Index(object))?;
    let size = PyLong_AsSsize_t(number.as_ptr());
    if size == -1 && !pyo3_ffi::PyErr_Occurred().is_null() { Err(Raised) } else { Ok(size) }
}

unsafe fn check_count(state: &State, call: Call, format: &Format, arguments: Arguments) -> Result<(), Raised> {
    let (expected, got) = (format.len(), arguments.len());
    if expected == got { Ok(()) } else { Err(state.raise(&Error::ItemCount { call, expected, got })) }
}

unsafe fn zeros(state: &State, size: usize) -> Result<Vec<u8>, Raised> {
    let mut record = Vec::new();
    record.try_reserve_exact(size).map_err(|_| state.raise(&Error::NoMemory { size }))?;
    record.resize(size, 0);
    Ok(record)
}

unsafe fn fill(state: &State, format: &Format, record: &mut [u8], arguments: Arguments) -> Result<(), Raised> {
    let mut keep = Vec::new();
    let result = format.pack_with(record, |index, field| {
        to_value(arguments.get(index), field.code, &mut keep).map_err(|Raised| Failure::Raised)
    });
    match result {
        Ok(()) => Ok(()),
        Err(Failure::Raised) => Err(Raised),
        Err(Failure::Struct(error)) => Err(raise_field(state, &error, arguments)),
    }
}

/// Where an argument is no `int` itself but has `__index__`, CPython lets its integers' own overflow error
/// through in place of a `struct.error`.
unsafe fn raise_field(state: &State, error: &Error, arguments: Arguments) -> Raised {
    let Error::Field { index, code, ref reason } = *error else {
        return state.raise(error);
    };
    let own_overflow = state.message(error) == "int too large to convert";
    if !own_overflow || PyLong_Check(arguments.get(index)) != 0 {
        return state.raise(error);
    }
    let negative = match *reason {
        FieldError::IntTooLarge { got } | FieldError::OutOfRange { got, .. } => got < 0,
        _ => false,
    };
    let message = match (code, negative) {
        (Code::Pointer, true) => c"Python int too large to convert to C long",
        (Code::Pointer, false) => c"Python int too large to convert to C unsigned long",
        (Code::UnsignedLongLong, true) => c"can't convert negative int to unsigned",
        _ => c"int too big to convert",
    };
    raise(PyExc_OverflowError, message)
}
