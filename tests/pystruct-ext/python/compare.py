"""Packs and unpacks random cases with CPython's `_struct` and with unglue's in one process, and compares
bytes, values (NaN payloads too), exceptions and their words.

    compare.py LIBRARY CASES [SEED]
"""

import re
import sys
import warnings

from cases import Cases
from shadow import ours, theirs

# No record of a case is larger than this, so that a run stays quick.
LARGEST = 1 << 16
ZERO_P = re.compile("(?<![0-9])0+p")


def outcome(module, operation, *arguments):
    try:
        result = getattr(module, operation)(*arguments)
        if operation == "iter_unpack":
            result = list(result)
    except Exception as error:
        kind = "struct.error" if type(error) is module.error else type(error).__name__
        return kind, str(error)
    return "ok", exact(result)


def exact(value):
    """A form whose equality tells NaNs, zeros and types apart."""
    if isinstance(value, float):
        return "float", THEIRS.pack("<d", value)
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [exact(item) for item in value]
    return type(value).__name__, value


def arguments_of(cases, operation, text, codes, size):
    """The arguments after the format; a callable where a fresh buffer is wanted for each call."""
    if operation == "calcsize":
        return lambda: ()
    if operation == "pack":
        values = cases.values(codes)
        return lambda: values
    if operation == "pack_into":
        values, length = cases.values(codes), size + cases.random.randrange(6)
        offset = cases.offset_in(length, size)
        return lambda: (bytearray(b"\xaa" * length), offset, *values)
    if operation == "unpack_from":
        data = cases.random.randbytes(size + cases.random.randrange(6))
        offset = cases.offset_in(len(data), size)
        return lambda: (data, offset)
    data = cases.bytes_for(size * cases.random.randrange(4) if operation == "iter_unpack" else size)
    return lambda: (data,)


def run(module, operation, text, arguments):
    """The outcome, and the buffer that `pack_into` wrote to. After a refusal it isn't compared: CPython
    leaves bytes of the refused number in the refused field at times, unglue zeros always."""
    given = arguments()
    result = outcome(module, operation, text, *given)
    written = bytes(given[0]) if operation == "pack_into" and result[0] == "ok" else None
    # `0p` makes CPython write its length byte all the same: over the byte after the field.
    return result, None if ZERO_P.search(text) else written


def zero_p_works():
    """CPython 3.11 and 3.12.1 fail on `0p`, which has no room for its length byte."""
    return outcome(THEIRS, "unpack", "0p", b"")[0] == "ok"


def main():
    library, count = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    mine = ours(library)
    cases = Cases(seed, objects=True, zero_p=zero_p_works())
    done = refused = 0
    for number in range(count):
        operation, text, codes = cases.case()
        kind, size = outcome(THEIRS, "calcsize", text)
        size = size[1] if kind == "ok" else 0
        if size > LARGEST:
            operation = "calcsize"
        arguments = arguments_of(cases, operation, text, codes, size)
        want, got = run(THEIRS, operation, text, arguments), run(mine, operation, text, arguments)
        if want != got:
            print(f"case {number} of seed {seed}: {operation}({text!r}, {arguments()!r})")
            print(f"  CPython: {want}\n  unglue:  {got}")
            return 1
        done += 1
        refused += want[0][0] != "ok"
    print(f"{done} random cases equal to CPython {sys.version.split()[0]}, {refused} of them refusals (seed {seed})")
    return 0


# An `__index__` that returns a bool.
warnings.simplefilter("ignore", DeprecationWarning)
THEIRS = theirs()

if __name__ == "__main__":
    sys.exit(main())
