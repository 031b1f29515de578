//! The type `Struct`.

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};

use pyo3_ffi::*;
use unglue_struct::Format;

use crate::calls::{self, Arguments};
use crate::convert::type_name;
use crate::iterator;
use crate::module;
use crate::owned::{Owned, Raised, object_or_null, raise, zero_or_minus_one};
use crate::state::State;

/// An instance of `Struct`.
#[repr(C)]
pub(crate) struct StructObject {
    head: PyObject,
    /// Our module: a subclass knows another one.
    module: *mut PyObject,
    /// Null until `__init__` has succeeded.
    format: *mut Format,
}

impl StructObject {
    pub(crate) unsafe fn of<'a>(object: *mut PyObject) -> &'a mut StructObject {
        &mut *object.cast()
    }

    pub(crate) unsafe fn state<'a>(&self) -> &'a State {
        State::of(self.module)
    }

    /// The format; it lives until `__init__` runs again, which a caller's conversions could do: clone it
    /// where they run.
    pub(crate) unsafe fn format(&self) -> Result<&Format, Raised> {
        match self.format.as_ref() {
            Some(format) => Ok(format),
            None => Err(raise(PyExc_RuntimeError, c"Struct object is not initialized")),
        }
    }
}

/// Makes the type for a module.
pub(crate) unsafe fn new_type(module: *mut PyObject) -> Result<Owned, Raised> {
    let mut slots = [
        slot(Py_tp_new, new as *mut c_void),
        slot(Py_tp_init, init as *mut c_void),
        slot(Py_tp_dealloc, dealloc as *mut c_void),
        slot(Py_tp_traverse, traverse as *mut c_void),
        slot(Py_tp_repr, repr as *mut c_void),
        slot(Py_tp_methods, methods().cast()),
        slot(Py_tp_getset, attributes().cast()),
        slot(Py_tp_doc, c"Struct(fmt) --> compiled struct object\n\n".as_ptr().cast_mut().cast()),
        slot(0, null_mut()),
    ];
    let mut spec = PyType_Spec {
        name: c"_struct.Struct".as_ptr(),
        basicsize: size_of::<StructObject>() as c_int,
        itemsize: 0,
        flags: (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE) as _,
        slots: slots.as_mut_ptr(),
    };
    Owned::new(PyType_FromModuleAndSpec(module, &mut spec, null_mut()))
}

pub(crate) fn slot(slot: c_int, pfunc: *mut c_void) -> PyType_Slot {
    PyType_Slot { slot, pfunc }
}

/// The methods' table, which lives as long as the process.
fn methods() -> *mut PyMethodDef {
    use PyMethodDefPointer as Pointer;
    let method = |name: &'static std::ffi::CStr, ml_meth, ml_flags| PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth,
        ml_flags,
        ml_doc: null(),
    };
    Box::leak(Box::new([
        method(c"pack", Pointer { PyCFunction: pack }, METH_VARARGS),
        method(c"pack_into", Pointer { PyCFunction: pack_into }, METH_VARARGS),
        method(c"unpack", Pointer { PyCFunction: unpack }, METH_O),
        method(c"unpack_from", Pointer { PyCFunctionWithKeywords: unpack_from }, METH_VARARGS | METH_KEYWORDS),
        method(c"iter_unpack", Pointer { PyCFunction: iter_unpack }, METH_O),
        PyMethodDef::zeroed(),
    ]))
    .as_mut_ptr()
}

fn attributes() -> *mut PyGetSetDef {
    let attribute = |name: &'static std::ffi::CStr, get| PyGetSetDef {
        name: name.as_ptr(),
        get: Some(get),
        ..PyGetSetDef::default()
    };
    Box::leak(Box::new([
        attribute(c"format", format_attribute as getter),
        attribute(c"size", size_attribute as getter),
        PyGetSetDef::default(),
    ]))
    .as_mut_ptr()
}

unsafe extern "C" fn new(subtype: *mut PyTypeObject, _: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    let module = module::of_type(subtype);
    if module.is_null() {
        return null_mut();
    }
    let object = PyType_GenericAlloc(subtype, 0);
    if !object.is_null() {
        Py_INCREF(module);
        StructObject::of(object).module = module;
    }
    object
}

unsafe extern "C" fn init(this: *mut PyObject, args: *mut PyObject, keywords: *mut PyObject) -> c_int {
    let mut text: *mut PyObject = null_mut();
    let mut names: [*const c_char; 2] = [c"format".as_ptr(), null()];
    let names = names.as_mut_ptr();
    if PyArg_ParseTupleAndKeywords(args, keywords, c"O:Struct".as_ptr(), names.cast(), &raw mut text) == 0 {
        return -1;
    }
    let this = StructObject::of(this);
    let parsed = parse(this.state(), text).map(|format| {
        let old = std::mem::replace(&mut this.format, Box::into_raw(Box::new(format)));
        drop_format(old);
    });
    zero_or_minus_one(parsed)
}

/// Reads a format from a `str` or `bytes`.
unsafe fn parse(state: &State, text: *mut PyObject) -> Result<Format, Raised> {
    let ascii = if PyUnicode_Check(text) != 0 {
        Owned::new(PyUnicode_AsASCIIString(text))?
    } else if PyBytes_Check(text) != 0 {
        Owned::borrowed(text)
    } else {
        let name = type_name(text);
        let message = CString::new(format!("Struct() argument 1 must be a str or bytes object, not {name}"));
        return Err(raise(PyExc_TypeError, &message.unwrap_or_default()));
    };
    let len = PyBytes_Size(ascii.as_ptr()) as usize;
    let bytes = std::slice::from_raw_parts(PyBytes_AsString(ascii.as_ptr()).cast(), len);
    Format::parse_bytes(bytes).map_err(|error| state.raise(&error))
}

unsafe fn drop_format(format: *mut Format) {
    if !format.is_null() {
        drop(Box::from_raw(format));
    }
}

unsafe extern "C" fn dealloc(this: *mut PyObject) {
    PyObject_GC_UnTrack(this.cast());
    let kind = Py_TYPE(this);
    let fields = StructObject::of(this);
    drop_format(fields.format);
    Py_CLEAR(&mut fields.module);
    let free: freefunc = std::mem::transmute(PyType_GetSlot(kind, Py_tp_free));
    free(this.cast());
    Py_DECREF(kind.cast());
}

unsafe extern "C" fn traverse(this: *mut PyObject, visit: visitproc, arg: *mut c_void) -> c_int {
    let module = StructObject::of(this).module;
    for object in [Py_TYPE(this).cast(), module] {
        let result = if object.is_null() { 0 } else { visit(object, arg) };
        if result != 0 {
            return result;
        }
    }
    0
}

/// As 3.13 has it; before, it was the default.
unsafe extern "C" fn repr(this: *mut PyObject) -> *mut PyObject {
    let text = StructObject::of(this).format().map(|format| format!("Struct('{format}')"));
    object_or_null(text.and_then(|text| string(&text)))
}

unsafe fn string(text: &str) -> Result<Owned, Raised> {
    Owned::new(PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len() as Py_ssize_t))
}

unsafe extern "C" fn format_attribute(this: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    object_or_null(StructObject::of(this).format().and_then(|format| string(format.as_str())))
}

unsafe extern "C" fn size_attribute(this: *mut PyObject, _: *mut c_void) -> *mut PyObject {
    let size = StructObject::of(this).format().map(Format::size);
    object_or_null(size.and_then(|size| Owned::new(PyLong_FromSize_t(size))))
}

unsafe extern "C" fn pack(this: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    let this = StructObject::of(this);
    let format = this.format().cloned();
    object_or_null(format.and_then(|format| calls::pack(this.state(), &format, Arguments::new(args, 0))))
}

unsafe extern "C" fn pack_into(this: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    let this = StructObject::of(this);
    let format = this.format().cloned();
    let packed = format.and_then(|format| calls::pack_into(this.state(), &format, Arguments::new(args, 0)));
    object_or_null(packed.map(|()| Owned::borrowed(Py_None())))
}

unsafe extern "C" fn unpack(this: *mut PyObject, buffer: *mut PyObject) -> *mut PyObject {
    let this = StructObject::of(this);
    object_or_null(this.format().and_then(|format| calls::unpack(this.state(), format, buffer)))
}

unsafe extern "C" fn unpack_from(this: *mut PyObject, args: *mut PyObject, keywords: *mut PyObject) -> *mut PyObject {
    let this = StructObject::of(this);
    let (mut buffer, mut offset): (*mut PyObject, *mut PyObject) = (null_mut(), null_mut());
    let mut names: [*const c_char; 3] = [c"buffer".as_ptr(), c"offset".as_ptr(), null()];
    let (layout, names) = (c"O|O:unpack_from".as_ptr(), names.as_mut_ptr().cast());
    if PyArg_ParseTupleAndKeywords(args, keywords, layout, names, &raw mut buffer, &raw mut offset) == 0 {
        return null_mut();
    }
    let format = this.format().cloned();
    object_or_null(format.and_then(|format| calls::unpack_from(this.state(), &format, buffer, offset)))
}

pub(crate) unsafe extern "C" fn iter_unpack(this: *mut PyObject, buffer: *mut PyObject) -> *mut PyObject {
    object_or_null(iterator::new(this, buffer))
}
