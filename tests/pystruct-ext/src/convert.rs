//! Python's objects to the crate's values and back.

use std::ffi::{CStr, c_char};
use std::slice;

use pyo3_ffi::{
    Py_ssize_t, PyBool_FromLong, PyByteArray_AsString, PyByteArray_Check, PyByteArray_Size, PyBytes_AsString,
    PyBytes_Check, PyBytes_FromStringAndSize, PyBytes_Size, PyErr_Clear, PyErr_Occurred, PyFloat_AsDouble,
    PyFloat_FromDouble, PyIndex_Check, PyLong_AsLongLongAndOverflow, PyLong_Check, PyLong_FromLongLong,
    PyLong_FromUnsignedLongLong, PyNumber_Index, PyObject, PyObject_IsTrue, PyObject_Str, PyTuple_New, PyTuple_SetItem,
    PyUnicode_AsUTF8AndSize,
};
use unglue_struct::{BigInt, Code, Value, Values};

use crate::owned::{Owned, Raised};

/// A stand-in for integers too long for `str`: out of range for every code, as they are.
const HUGE: &str = concat!(
    "9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999",
    "9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999",
    "9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999",
    "9999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999",
);

/// Something that no code but `?` takes.
const NO_VALUE: Value<'static> = Value::Other { truth: true };

/// Converts an argument for a field of this code, calling what CPython calls on it. Text of long
/// integers is put into `keep`, which must live as long as the value.
pub(crate) unsafe fn to_value<'v>(
    object: *mut PyObject,
    code: Code,
    keep: &mut Vec<Owned>,
) -> Result<Value<'v>, Raised> {
    match code {
        Code::Char => Ok(bytes(object)),
        Code::Bytes | Code::Pascal => Ok(bytes_or_bytearray(object)),
        Code::Bool => truth(object),
        Code::Half | Code::Float | Code::Double => float(object, keep),
        _ => integer(object, keep),
    }
}

unsafe fn bytes<'v>(object: *mut PyObject) -> Value<'v> {
    if PyBytes_Check(object) == 0 {
        return NO_VALUE;
    }
    Value::Bytes(raw(PyBytes_AsString(object), PyBytes_Size(object)))
}

unsafe fn bytes_or_bytearray<'v>(object: *mut PyObject) -> Value<'v> {
    if PyByteArray_Check(object) == 0 {
        return bytes(object);
    }
    Value::Bytes(raw(PyByteArray_AsString(object), PyByteArray_Size(object)))
}

/// The memory of a Python object that outlives its use here.
unsafe fn raw<'v>(start: *const c_char, len: Py_ssize_t) -> &'v [u8] {
    slice::from_raw_parts(start.cast(), len as usize)
}

unsafe fn truth<'v>(object: *mut PyObject) -> Result<Value<'v>, Raised> {
    match PyObject_IsTrue(object) {
        -1 => Err(Raised),
        truth => Ok(Value::Bool(truth == 1)),
    }
}

/// `__float__` or `__index__`; whatever they raise is no float, as CPython has it.
unsafe fn float<'v>(object: *mut PyObject, keep: &mut Vec<Owned>) -> Result<Value<'v>, Raised> {
    if PyLong_Check(object) != 0 {
        return long(object, keep);
    }
    let number = PyFloat_AsDouble(object);
    if number == -1.0 && !PyErr_Occurred().is_null() {
        PyErr_Clear();
        return Ok(NO_VALUE);
    }
    Ok(Value::Float(number))
}

unsafe fn integer<'v>(object: *mut PyObject, keep: &mut Vec<Owned>) -> Result<Value<'v>, Raised> {
    if PyLong_Check(object) != 0 {
        return long(object, keep);
    }
    if PyIndex_Check(object) == 0 {
        return Ok(NO_VALUE);
    }
    let index = Owned::new(PyNumber_Index(object))?;
    long(index.as_ptr(), keep)
}

unsafe fn long<'v>(object: *mut PyObject, keep: &mut Vec<Owned>) -> Result<Value<'v>, Raised> {
    let mut overflow = 0;
    let small = PyLong_AsLongLongAndOverflow(object, &mut overflow);
    if overflow == 0 {
        return Ok(Value::from(small));
    }
    let text = match Owned::new(PyObject_Str(object)) {
        Ok(text) => text,
        Err(Raised) => {
            // More digits than Python prints.
            PyErr_Clear();
            return Ok(BigInt::from_decimal(HUGE).map_or(NO_VALUE, Value::BigInt));
        }
    };
    let mut len = 0;
    let start = PyUnicode_AsUTF8AndSize(text.as_ptr(), &mut len);
    let digits = std::str::from_utf8_unchecked(raw(start, len));
    keep.push(text);
    Ok(BigInt::from_decimal(digits).map_or(NO_VALUE, Value::BigInt))
}

/// A record's values as a tuple.
pub(crate) unsafe fn to_tuple(values: Values<'_, '_>) -> Result<Owned, Raised> {
    let tuple = Owned::new(PyTuple_New(values.len() as Py_ssize_t))?;
    for (index, value) in values.enumerate() {
        PyTuple_SetItem(tuple.as_ptr(), index as Py_ssize_t, to_object(value)?.into_ptr());
    }
    Ok(tuple)
}

unsafe fn to_object(value: Value<'_>) -> Result<Owned, Raised> {
    Owned::new(match value {
        Value::Float(number) => PyFloat_FromDouble(number),
        Value::Bool(truth) => PyBool_FromLong(truth.into()),
        Value::Bytes(bytes) => PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as Py_ssize_t),
        Value::Int(number) => match i64::try_from(number) {
            Ok(number) => PyLong_FromLongLong(number),
            Err(_) => PyLong_FromUnsignedLongLong(number as u64),
        },
        _ => unreachable!("unpacking gives no such value"),
    })
}

/// The type's name, for messages.
pub(crate) unsafe fn type_name(object: *mut PyObject) -> String {
    let name = pyo3_ffi::PyType_GetName(pyo3_ffi::Py_TYPE(object));
    let Ok(name) = Owned::new(name) else {
        return String::new();
    };
    let text = PyUnicode_AsUTF8AndSize(name.as_ptr(), std::ptr::null_mut());
    CStr::from_ptr(text).to_string_lossy().into_owned()
}
