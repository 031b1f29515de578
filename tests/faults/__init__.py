"""Faults put into unglue, and into ssh, scp, sftp and rsync under the same harness. `scripts/faults --help` says more."""
