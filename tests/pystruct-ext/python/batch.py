"""Sends random cases through `unglue struct --batch` and compares each answer with CPython's.

    batch.py UNGLUE CASES [SEED]
"""

import json
import math
import struct
import subprocess
import sys

from cases import Cases
from compare import LARGEST, ZERO_P, arguments_of, outcome, zero_p_works


def to_json(value):
    if isinstance(value, (bytes, bytearray)):
        return {"hex": value.hex()}
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def request_of(operation, text, arguments):
    request = {"op": operation, "format": text}
    if operation == "pack":
        request["values"] = to_json(arguments)
    elif operation == "pack_into":
        buffer, offset, *values = arguments
        request |= {"hex": buffer.hex(), "offset": to_json(offset), "values": to_json(values)}
    elif operation != "calcsize":
        request["hex"] = arguments[0].hex()
        if operation == "unpack_from":
            request["offset"] = to_json(arguments[1])
    return request


def answer_of(operation, text, arguments):
    """What CPython says, in the form of an answer; None where its `0p` writes over its neighbour."""
    try:
        result = getattr(struct, operation)(text, *arguments)
        if operation == "pack":
            return {"hex": result.hex()}
        if operation == "pack_into":
            return None if ZERO_P.search(text) else {"hex": arguments[0].hex()}
        if operation == "calcsize":
            return {"size": result}
        return {"values": to_json(list(result))}
    except Exception as error:
        kind = "struct.error" if type(error) is struct.error else type(error).__name__
        return {"error": {"type": kind, "message": str(error)}}


def exact(answer):
    """Its text, which tells 1 from 1.0 and True, and 0.0 from -0.0."""
    return json.dumps(answer, sort_keys=True)


def main():
    unglue, count = sys.argv[1], int(sys.argv[2])
    cases = Cases(int(sys.argv[3]) if len(sys.argv) > 3 else 2, zero_p=zero_p_works())
    requests, wanted = [], []
    while len(requests) < count:
        operation, text, codes = cases.case()
        kind, size = outcome(struct, "calcsize", text)
        size = size[1] if kind == "ok" else 0
        if size > LARGEST:
            operation = "calcsize"
        given = arguments_of(cases, operation, text, codes, size)()
        request = json.dumps(request_of(operation, text, given))
        requests.append(request)
        wanted.append(answer_of(operation, text, given))
    version = ".".join(map(str, sys.version_info[:2]))
    done = subprocess.run(
        [unglue, "struct", "--batch", "--python", version],
        input="\n".join(requests).encode(),
        capture_output=True,
        timeout=600,
    )
    answers = done.stdout.decode().splitlines()
    if done.returncode != 0 or len(answers) != count:
        print(f"exit {done.returncode}, {len(answers)} answers to {count} requests: {done.stderr.decode()}")
        return 1
    for request, answer, want in zip(requests, answers, wanted):
        if want is not None and exact(json.loads(answer)) != exact(want):
            print(f"request: {request}\n  CPython: {exact(want)}\n  unglue:  {answer}")
            return 1
    print(f"{count} random requests answered as CPython {sys.version.split()[0]} would")
    return 0


if __name__ == "__main__":
    sys.exit(main())
