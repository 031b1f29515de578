"""Random calls on `struct`: formats that are mostly right, values that mostly fit, and the edges of both.

A case is (operation, format, arguments). Arguments hold only what JSON can carry too, unless `objects` is
set: then there are bytearrays and objects with `__index__` and `__float__` among them.
"""

import random

MARKS = ["", "", "@", "=", "<", ">", "!"]
CODES = "xcbB?hHiIlLqQnNefdspP"
BITS = {"b": 8, "B": 8, "h": 16, "H": 16, "i": 32, "I": 32, "l": 64, "L": 64, "q": 64, "Q": 64, "n": 64, "N": 64, "P": 64}
SPECIAL_FLOATS = [
    0.0, -0.0, 1.0, 0.1, float("inf"), float("-inf"), float("nan"), 65504.0, 65519.99, 65520.0, -65520.0, 2.0**-24,
    2.0**-25, 2.0**-25 * 1.0000001, 2.0**-14, 3.4028235e38, 3.4028235677973366e38, 3.5e38, 1e-45, 7e-46, 1.7976931348623157e308,
    5e-324, 1e16, 1e-5,
]
STRANGERS = [None, "", "text", [], [0], "1"]
HUGE_COUNTS = [
    "9223372036854775807", "9223372036854775808", "9223372036854775799", "4611686018427387904", "99999999999999999999",
    "18446744073709551616", "1000000",
]


class Index:
    """An object with `__index__`, as numpy's integers are."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value

    def __repr__(self):
        return f"Index({self.value!r})"


class Cases:
    def __init__(self, seed, objects=False, zero_p=True):
        self.random = random.Random(seed)
        self.objects = objects
        self.zero_p = zero_p

    def case(self):
        """The next case; `size_of` tells the packed size, or None if the format is wrong."""
        r = self.random
        text, codes = self.format()
        operation = r.choice(["pack"] * 6 + ["unpack"] * 4 + ["calcsize", "pack_into", "unpack_from", "iter_unpack"])
        return operation, text, codes

    def format(self):
        r = self.random
        mark = r.choice(MARKS)
        text, codes = mark, []
        for _ in range(r.choice([0, 1, 1, 1, 2, 2, 3, 4, 6, 9])):
            if r.random() < 0.08:
                text += r.choice([" ", "\t", "\n", "  ", "\x0b", "\x0c\r"])
            code = r.choice(CODES)
            if code in "nNP" and mark not in ("", "@") and r.random() < 0.9:
                code = "q"
            count = self.count()
            if code == "p" and count.strip("0") == "" and count and not self.zero_p:
                count = "1"
            text += count + code
            codes.append((count, code))
        if r.random() < 0.06:
            text = self.spoil(text)
        return text, codes

    def count(self):
        r = self.random
        pick = r.random()
        if pick < 0.6:
            return ""
        if pick < 0.97:
            return r.choice(["0", "1", "2", "3", "4", "5", "7", "8", "12", "20", "007", "00"])
        if pick < 0.985:
            return r.choice(["254", "255", "256", "257", "300"])
        return r.choice(HUGE_COUNTS) if r.random() < 0.5 else "16"

    def spoil(self, text):
        r = self.random
        at = r.randrange(len(text) + 1)
        junk = r.choice(["Z", "@", "5", " 3 ", "\0", "\xe9", "\u20ac\U0001f600", "-", ".", "a", "<", "\x7f", "3", "\u0663"])
        return text[:at] + junk + text[at:]

    def values(self, codes):
        """Values for the codes, one too many or too few at times."""
        r = self.random
        values = []
        for count, code in codes:
            if code == "x":
                continue
            repeat = 1 if code in "sp" else min(int(count or "1"), 400)
            values += [self.value(code) for _ in range(repeat)]
        if r.random() < 0.03:
            values.append(1)
        if values and r.random() < 0.03:
            values.pop()
        return values

    def value(self, code):
        r = self.random
        pick = r.random()
        if pick < 0.01:
            return r.choice(STRANGERS)
        if pick < 0.03:
            code = r.choice(CODES[1:])
        if code in BITS:
            return self.indexed(self.integer(BITS[code], code.islower()))
        if code in "efd":
            return self.indexed(self.number())
        if code == "?":
            return r.choice([True, False, 0, 1, -1, 2**70, 0.0, -0.0, float("nan"), 0.5, b"", b"\0", "", "x", None, [], [0]])
        return self.string(1 if code == "c" and r.random() < 0.9 else r.choice([0, 1, 2, 3, 5, 8, 20, 254, 255, 256, 300]))

    def indexed(self, value):
        if self.objects and isinstance(value, int) and self.random.random() < 0.05:
            return Index(value)
        return value

    def integer(self, bits, signed=True):
        r = self.random
        pick = r.random()
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
        if pick < 0.05:
            return r.choice([True, False])
        if pick < 0.8:
            return r.randrange(low, high)
        if pick < 0.92:
            return r.choice([low, low, low + 1, high - 1, high - 1, high, low - 1])
        if pick < 0.97:
            edge = r.choice([0, 2 ** (bits - 1), -(2 ** (bits - 1)), 2**bits, 2**31, 2**32, 2**63, -(2**63), 2**64, 2**127, -(2**127), 2**128])
            return edge + r.choice([-1, 0, 1])
        return r.choice([1, -1]) * r.getrandbits(r.choice([8, 16, 31, 64, 65, 200, 1100]))

    def number(self):
        r = self.random
        pick = r.random()
        if pick < 0.3:
            return r.choice(SPECIAL_FLOATS)
        if pick < 0.5:
            return (r.random() - 0.5) * 2.0 ** r.randrange(-30, 20)
        if pick < 0.6:
            return self.integer(r.choice([8, 64]))
        if pick < 0.7:
            return r.choice([1, -1]) * (2 ** r.randrange(1020, 1026) - 2 ** r.randrange(960, 975))
        return r.choice([1, -1]) * r.random() * 2.0 ** r.randrange(-1074, 1023)

    def string(self, length):
        r = self.random
        data = r.randbytes(length)
        return bytearray(data) if self.objects and r.random() < 0.1 else data

    def bytes_for(self, size):
        """A buffer for a record: mostly of its size."""
        r = self.random
        wrong = r.random() < 0.05
        return r.randbytes(max(0, size + (r.choice([-1, 1, 7]) if wrong else 0)))

    def offset_in(self, length, size):
        r = self.random
        if r.random() < 0.05:
            return r.choice([2**63, 2**64, -(2**63), -(2**63) - 1, 2**63 - 1, 2**62, True, None, 1.5, "x", -1])
        return r.randrange(-length - 2, length + 3 - size) if length + 3 - size > -length - 2 else 0
