#!/usr/bin/env python3
"""Runs a program whose syncs return at once: `unsynced.py PROGRAM ARGUMENTS…`.

A seccomp filter (seccomp(2)) gives success for fsync, fdatasync, syncfs, sync and sync_file_range without doing them. So the same
program is measured with durability and without.
"""

import ctypes
import os
import platform
import struct
import sys

# Numbers of the calls, by machine (unistd.h): fsync, fdatasync, syncfs, sync, sync_file_range.
CALLS = {"x86_64": (74, 75, 306, 162, 277), "aarch64": (82, 83, 267, 81, 84)}
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO_0 = 0x7FFF0000, 0x00050000
SET_NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2


def install():
    calls = CALLS.get(platform.machine())
    if not calls:
        sys.exit(f"unsynced: the numbers of the system calls of {platform.machine()} are not known")
    program = [(LOAD, 0, 0, 0)]
    for position, call in enumerate(calls):
        program.append((JUMP_IF_EQUAL, len(calls) - position, 0, call))
    program += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, ERRNO_0)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if libc.prctl(SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero) != 0:
        sys.exit("unsynced: prctl failed")
    if libc.prctl(SET_SECCOMP, ctypes.c_ulong(FILTER), ctypes.c_ulong(ctypes.addressof(head)), zero, zero) != 0:
        sys.exit(f"unsynced: no filter: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    install()
    os.execvp(sys.argv[1], sys.argv[1:])
