//! The module `_struct` itself: its functions, its cache, its life.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::LazyLock;

use pyo3_ffi::*;
use unglue_struct::Format;

use crate::calls::{self, Arguments};
use crate::iterator;
use crate::owned::{Owned, Raised, object_or_null, raise, zero_or_minus_one};
use crate::state::State;
use crate::structure::{self, StructObject};

/// As many formats as CPython keeps before it throws all away.
const CACHE_LIMIT: Py_ssize_t = 100;

/// The definition, made once; the interpreter keeps notes in it.
struct Definition(*mut PyModuleDef);

// SAFETY: only a pointer to what is never freed; the interpreter guards its contents by its lock.
unsafe impl Send for Definition {}
// SAFETY: as above.
unsafe impl Sync for Definition {}

static DEFINITION: LazyLock<Definition> = LazyLock::new(|| {
    Definition(Box::leak(Box::new(PyModuleDef {
        m_base: PyModuleDef_HEAD_INIT,
        m_name: c"_struct".as_ptr(),
        m_doc: c"Functions to convert between Python values and C structs, by unglue-struct.".as_ptr(),
        m_size: State::SIZE,
        m_methods: methods(),
        m_slots: slots(),
        m_traverse: Some(traverse),
        m_clear: Some(clear),
        m_free: Some(free),
    })))
});

pub(crate) fn definition() -> *mut PyModuleDef {
    DEFINITION.0
}

fn methods() -> *mut PyMethodDef {
    use PyMethodDefPointer as Pointer;
    let function = |name: &'static CStr, ml_meth, ml_flags| PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth,
        ml_flags,
        ml_doc: null(),
    };
    Box::leak(Box::new([
        function(c"_clearcache", Pointer { PyCFunction: clear_cache }, METH_NOARGS),
        function(c"calcsize", Pointer { PyCFunction: calcsize }, METH_O),
        function(c"iter_unpack", Pointer { PyCFunction: iter_unpack }, METH_VARARGS),
        function(c"pack", Pointer { PyCFunction: pack }, METH_VARARGS),
        function(c"pack_into", Pointer { PyCFunction: pack_into }, METH_VARARGS),
        function(c"unpack", Pointer { PyCFunction: unpack }, METH_VARARGS),
        function(c"unpack_from", Pointer { PyCFunctionWithKeywords: unpack_from }, METH_VARARGS | METH_KEYWORDS),
        PyMethodDef::zeroed(),
    ]))
    .as_mut_ptr()
}

fn slots() -> *mut PyModuleDef_Slot {
    let execute = PyModuleDef_Slot { slot: Py_mod_exec, value: execute as *mut c_void };
    Box::leak(Box::new([execute, PyModuleDef_Slot::default()])).as_mut_ptr()
}

/// Fills a new module.
unsafe extern "C" fn execute(module: *mut PyObject) -> c_int {
    zero_or_minus_one(fill(module))
}

unsafe fn fill(module: *mut PyObject) -> Result<(), Raised> {
    let state = State::of(module);
    state.cache = Owned::new(PyDict_New())?.into_ptr();
    state.struct_type = structure::new_type(module)?.into_ptr();
    state.iterator_type = iterator::new_type(module)?.into_ptr();
    state.error = Owned::new(PyErr_NewException(c"struct.error".as_ptr(), null_mut(), null_mut()))?.into_ptr();
    let added = [(c"Struct", state.struct_type), (c"error", state.error)]
        .into_iter()
        .all(|(name, object)| PyModule_AddObjectRef(module, name.as_ptr(), object) == 0);
    if added { Ok(()) } else { Err(Raised) }
}

unsafe extern "C" fn traverse(module: *mut PyObject, visit: visitproc, arg: *mut c_void) -> c_int {
    State::of(module).traverse(visit, arg)
}

unsafe extern "C" fn clear(module: *mut PyObject) -> c_int {
    State::of(module).clear();
    0
}

unsafe extern "C" fn free(module: *mut c_void) {
    State::of(module.cast()).clear();
}

/// The module that made a type or the base of one: borrowed, or null with an exception set.
pub(crate) unsafe fn of_type(kind: *mut PyTypeObject) -> *mut PyObject {
    let mut kind = kind;
    while !kind.is_null() {
        let module = PyType_GetModule(kind);
        if !module.is_null() && PyModule_GetDef(module) == definition() {
            PyErr_Clear();
            return module;
        }
        kind = PyType_GetSlot(kind, Py_tp_base).cast();
    }
    PyErr_Clear();
    raise(PyExc_TypeError, c"no module of Struct's is among the bases");
    null_mut()
}

/// The `Struct` of a format, made or found in the cache.
unsafe fn cached(state: &State, format: *mut PyObject) -> Result<Owned, Raised> {
    let found = PyDict_GetItemWithError(state.cache, format);
    if !found.is_null() {
        return Ok(Owned::borrowed(found));
    }
    if !PyErr_Occurred().is_null() {
        return Err(Raised);
    }
    let made = Owned::new(PyObject_CallFunctionObjArgs(state.struct_type, format, null_mut::<PyObject>()))?;
    if PyDict_Size(state.cache) >= CACHE_LIMIT {
        PyDict_Clear(state.cache);
    }
    match PyDict_SetItem(state.cache, format, made.as_ptr()) {
        0 => Ok(made),
        _ => Err(Raised),
    }
}

/// The format, for calls that convert arguments: a `Struct` in the cache is never initialised again,
/// but the cache can be cleared.
unsafe fn format(state: &State, text: *mut PyObject) -> Result<Format, Raised> {
    let made = cached(state, text)?;
    StructObject::of(made.as_ptr()).format().cloned()
}

unsafe extern "C" fn clear_cache(module: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    PyDict_Clear(State::of(module).cache);
    Owned::borrowed(Py_None()).into_ptr()
}

unsafe extern "C" fn calcsize(module: *mut PyObject, text: *mut PyObject) -> *mut PyObject {
    let size = format(State::of(module), text).map(|format| format.size());
    object_or_null(size.and_then(|size| Owned::new(PyLong_FromSize_t(size))))
}

/// The format that the first argument names.
unsafe fn first_format(state: &State, args: *mut PyObject) -> Result<Format, Raised> {
    let arguments = Arguments::new(args, 0);
    if arguments.len() == 0 {
        return Err(raise(PyExc_TypeError, c"missing format argument"));
    }
    format(state, arguments.get(0))
}

unsafe extern "C" fn pack(module: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    let state = State::of(module);
    let format = first_format(state, args);
    object_or_null(format.and_then(|format| calls::pack(state, &format, Arguments::new(args, 1))))
}

unsafe extern "C" fn pack_into(module: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    let state = State::of(module);
    let format = first_format(state, args);
    let packed = format.and_then(|format| calls::pack_into(state, &format, Arguments::new(args, 1)));
    object_or_null(packed.map(|()| Owned::borrowed(Py_None())))
}

/// Two positional arguments, both borrowed.
unsafe fn two(args: *mut PyObject, name: &CStr) -> Result<(*mut PyObject, *mut PyObject), Raised> {
    let (mut first, mut second): (*mut PyObject, *mut PyObject) = (null_mut(), null_mut());
    match PyArg_UnpackTuple(args, name.as_ptr(), 2, 2, &raw mut first, &raw mut second) {
        0 => Err(Raised),
        _ => Ok((first, second)),
    }
}

unsafe extern "C" fn unpack(module: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    let state = State::of(module);
    let result = two(args, c"unpack")
        .and_then(|(text, buffer)| format(state, text).and_then(|format| calls::unpack(state, &format, buffer)));
    object_or_null(result)
}

unsafe extern "C" fn unpack_from(module: *mut PyObject, args: *mut PyObject, keywords: *mut PyObject) -> *mut PyObject {
    let (mut text, mut buffer, mut offset): (*mut PyObject, *mut PyObject, *mut PyObject) =
        (null_mut(), null_mut(), null_mut());
    let mut names: [*const c_char; 4] = [c"".as_ptr(), c"buffer".as_ptr(), c"offset".as_ptr(), null()];
    let (layout, names) = (c"OO|O:unpack_from".as_ptr(), names.as_mut_ptr().cast());
    let (to_text, to_buffer, to_offset) = (&raw mut text, &raw mut buffer, &raw mut offset);
    if PyArg_ParseTupleAndKeywords(args, keywords, layout, names, to_text, to_buffer, to_offset) == 0 {
        return null_mut();
    }
    let state = State::of(module);
    let format = format(state, text);
    object_or_null(format.and_then(|format| calls::unpack_from(state, &format, buffer, offset)))
}

unsafe extern "C" fn iter_unpack(module: *mut PyObject, args: *mut PyObject) -> *mut PyObject {
    let state = State::of(module);
    let result = two(args, c"iter_unpack")
        .and_then(|(text, buffer)| cached(state, text).and_then(|made| iterator::new(made.as_ptr(), buffer)));
    object_or_null(result)
}
