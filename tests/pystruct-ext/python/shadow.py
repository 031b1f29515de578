"""Both implementations of `_struct` in one process: CPython's own and unglue's."""

import importlib.machinery
import importlib.util
import os
import sys


def ours(library):
    """unglue's `_struct`, from the file of the extension module."""
    loader = importlib.machinery.ExtensionFileLoader("_struct", os.path.abspath(library))
    spec = importlib.util.spec_from_file_location("_struct", library, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def theirs():
    """CPython's `_struct`, wherever this interpreter keeps it."""
    import _struct

    where = getattr(_struct, "__file__", "")
    assert not where or where.startswith((sys.base_prefix, "/usr/lib")), where
    return _struct
