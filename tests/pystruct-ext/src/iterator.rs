//! The iterator that `iter_unpack` returns.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

use pyo3_ffi::*;
use unglue_struct::Format;

use crate::calls::Buffer;
use crate::convert::to_tuple;
use crate::owned::{Owned, Raised, object_or_null};
use crate::structure::{StructObject, slot};

/// An instance of `unpack_iterator`.
#[repr(C)]
struct IteratorObject {
    head: PyObject,
    /// What is left to do; `None` when the records have run out.
    records: Option<Box<Records>>,
}

/// The rest of a buffer, a whole number of records.
struct Records {
    format: Format,
    buffer: Buffer,
    position: usize,
}

impl Records {
    fn left(&self) -> usize {
        (self.buffer.len() - self.position) / self.format.size()
    }
}

/// Makes the type for a module.
pub(crate) unsafe fn new_type(module: *mut PyObject) -> Result<Owned, Raised> {
    let mut slots = [
        slot(Py_tp_dealloc, dealloc as *mut c_void),
        slot(Py_tp_traverse, traverse as *mut c_void),
        slot(Py_tp_iter, PyObject_SelfIter as *mut c_void),
        slot(Py_tp_iternext, next as *mut c_void),
        slot(Py_tp_methods, methods().cast()),
        slot(0, null_mut()),
    ];
    let mut spec = PyType_Spec {
        name: c"_struct.unpack_iterator".as_ptr(),
        basicsize: size_of::<IteratorObject>() as c_int,
        itemsize: 0,
        flags: (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION)
            as _,
        slots: slots.as_mut_ptr(),
    };
    Owned::new(PyType_FromModuleAndSpec(module, &mut spec, null_mut()))
}

fn methods() -> *mut PyMethodDef {
    let length_hint = PyMethodDef {
        ml_name: c"__length_hint__".as_ptr(),
        ml_meth: PyMethodDefPointer { PyCFunction: length_hint },
        ml_flags: METH_NOARGS,
        ml_doc: std::ptr::null(),
    };
    Box::leak(Box::new([length_hint, PyMethodDef::zeroed()])).as_mut_ptr()
}

/// An iterator over the records in `buffer`, by the format of a `Struct`.
pub(crate) unsafe fn new(structure: *mut PyObject, buffer: *mut PyObject) -> Result<Owned, Raised> {
    let structure = StructObject::of(structure);
    let (state, format) = (structure.state(), structure.format()?.clone());
    if format.size() == 0 {
        return Err(state.raise(&unglue_struct::Error::EmptyRecord));
    }
    let buffer = Buffer::readable(buffer)?;
    format.iter_unpack(buffer.bytes()).map_err(|error| state.raise(&error))?;
    let object = Owned::new(PyType_GenericAlloc(state.iterator_type(), 0))?;
    let records = Some(Box::new(Records { format, buffer, position: 0 }));
    std::ptr::write(&mut of(object.as_ptr()).records, records);
    Ok(object)
}

unsafe fn of<'a>(object: *mut PyObject) -> &'a mut IteratorObject {
    &mut *object.cast()
}

unsafe extern "C" fn next(this: *mut PyObject) -> *mut PyObject {
    let this = of(this);
    let Some(records) = this.records.as_mut().filter(|records| records.left() > 0) else {
        // The buffer is released as soon as nothing is left of it.
        this.records = None;
        return null_mut();
    };
    let end = records.position + records.format.size();
    let record = &records.buffer.bytes()[records.position..end];
    records.position = end;
    let values = records.format.unpack(record).map_err(|_| Raised);
    object_or_null(values.and_then(|values| to_tuple(values)))
}

unsafe extern "C" fn length_hint(this: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    PyLong_FromSize_t(of(this).records.as_ref().map_or(0, |records| records.left()))
}

unsafe extern "C" fn dealloc(this: *mut PyObject) {
    PyObject_GC_UnTrack(this.cast());
    let kind = Py_TYPE(this);
    of(this).records = None;
    PyObject_GC_Del(this.cast());
    Py_DECREF(kind.cast());
}

unsafe extern "C" fn traverse(this: *mut PyObject, visit: visitproc, arg: *mut c_void) -> c_int {
    visit(Py_TYPE(this).cast(), arg)
}
