"""Lies beside the extension module on PYTHONPATH. Some builds of Python (Debian's) have `_struct` inside
the interpreter, where no path can shadow it: there this puts a finder before the builtins."""

import importlib.machinery
import importlib.util
import os
import sys


class Finder:
    library = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_struct.so")

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != "_struct":
            return None
        loader = importlib.machinery.ExtensionFileLoader(name, cls.library)
        return importlib.util.spec_from_file_location(name, cls.library, loader=loader)


if "_struct" in sys.builtin_module_names:
    sys.meta_path.insert(0, Finder)
