"""Runs CPython's test/test_struct.py, unmodified, on unglue's `_struct`.

Start it with the directory of the extension module on PYTHONPATH. Ends with 0 if all of it passes.
"""

import subprocess
import sys
import unittest

# Tests of the interpreter itself, each with the reason why it says nothing about another implementation.
LEFT_OUT = {
    "test__sizeof__": "adds up the fields of CPython's own C structure for a Struct object",
}

# The suite runs this in an isolated interpreter, which ignores PYTHONPATH and so tests CPython's own
# module; here it runs on ours.
AT_SHUTDOWN = """
import struct, _struct
assert _struct.__file__ == {library!r}, _struct.__file__

class C:
    def __init__(self):
        self.pack = struct.pack
    def __del__(self):
        self.pack('I', -42)

struct.x = C()
"""


def tests_of(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_of(test)
        else:
            yield test


def shutdown_survives(library):
    program = AT_SHUTDOWN.format(library=library)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    raised = b"Exception ignored in" in done.stderr and b"C.__del__" in done.stderr
    return done.returncode == 0 and not done.stdout and raised


def main():
    library = sys.argv[1]
    import _struct
    import struct

    assert _struct.__file__ == library, f"{_struct.__file__} is not the module under test"
    assert struct.pack is _struct.pack
    import test.test_struct

    suite = unittest.TestSuite()
    left_out = []
    for test in tests_of(unittest.defaultTestLoader.loadTestsFromModule(test.test_struct)):
        name = test.id().rsplit(".", 1)[-1]
        left_out.append(name) if name in LEFT_OUT else suite.addTest(test)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=0).run(suite)
    for name in left_out:
        print(f"left out: {name}: {LEFT_OUT[name]}")
    shutdown = shutdown_survives(library)
    print(f"packing at the interpreter's shutdown, on ours: {'ok' if shutdown else 'FAILED'}")
    return 0 if result.wasSuccessful() and result.testsRun >= 30 and shutdown else 1


if __name__ == "__main__":
    sys.exit(main())
