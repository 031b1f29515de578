"""Measures unglue and its rivals side by side: in one run, in turns, on one machine.

Nothing here but Python's own library, and Debian's openssh-server, openssh-client, rsync and netcat-openbsd.
"""
