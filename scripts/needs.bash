# What the tests need of the machine, beside Rust. Sourced by scripts/test.
# shellcheck shell=bash

# COMMAND | PACKAGE | WHAT IS LEFT OUT WITHOUT IT
NEEDS="
cc|gcc libc6-dev|everything: aws-lc, rustls' cryptography, is C
ssh-keygen|openssh-client|keys, signatures and known_hosts compared with OpenSSH's own; ssh-agent
ssh|openssh-client|commands and files by way of ssh
sshd|openssh-server|authorized_keys compared with sshd's reading of it; commands and files by way of ssh
tcsh|tcsh|ssh to an account with this login shell
fish|fish|ssh to an account with this login shell
faketime|faketime|ssh to a machine with a wrong clock
openssl|openssl|ssh that asks for a password
strip|binutils|ssh: a small program to upload
busybox|busybox-static|ssh to a root with nothing but busybox
rsync|rsync|file trees compared with rsync's
getfattr|attr|extended attributes of trees compared by a program that isn't ours
getfacl|acl|access control lists of trees compared by a program that isn't ours
mkfs.ext4|e2fsprogs|power cuts
strace|strace|faults injected into system calls
python3|python3|the tutorial's peers in Python; struct compared with CPython's
ip|iproute2|the silently dead link (a network namespace of its own)
iptables|iptables|the silently dead link (packets dropped)
setpriv|util-linux|running as an ordinary user, where the tests run as root
setsid|util-linux|a terminal for the prompt
unshare|util-linux|an sshd with accounts of its own
tmux|tmux|terminals as a person sees them
vim|vim|vim on a terminal
less|less|less on a terminal
htop|htop|htop on a terminal
top|procps|top on a terminal, and the client's process
man|man-db|the manual pages as man(1) shows them
mount|mount|the full disk (a small tmpfs)
timeout|coreutils|torture of broken and of right programs
node|nodejs|torture of programs in JavaScript, and the tests that it writes in it
go|golang-go|torture of a program in Go, and the tests that it writes in it
tshark|tshark|the capture of a tap as Wireshark reads it
curl|curl|torture of nginx
redis-server|redis-server|torture of redis
redis-cli|redis-tools|torture of redis
memcached|memcached|torture of memcached
memccp|libmemcached-tools|torture of memcached
nginx|nginx-light|torture of nginx
mosquitto|mosquitto|torture of Mosquitto
mosquitto_pub|mosquitto-clients|torture of Mosquitto
psql|postgresql|torture of PostgreSQL
xz|xz-utils|infer of a stream that xz compressed
bzip2|bzip2|infer of a stream that bzip2 compressed
zstd|zstd|infer of a stream that zstd compressed
lz4|lz4|infer of a stream that lz4 compressed
"

# needs_of_the_tests yes|no: installs what is missing where it may, then names what is still missing.
needs_of_the_tests() {
    local command packages lost
    local -a wanted=()
    while IFS='|' read -r command packages lost; do
        if [[ -n "$command" ]] && ! command -v "$command" >/dev/null 2>&1; then
            read -ra packages <<<"$packages"
            wanted+=("${packages[@]}")
        fi
    done <<<"$NEEDS"
    if ((${#wanted[@]} > 0)) && [[ "$1" == yes ]]; then
        install_packages "${wanted[@]}" || echo "installing ${wanted[*]} failed: going on without" >&2
    fi
    # The TLS client in Python, which logs in to the real server, does its arithmetic with it.
    if ! python3 -c 'import cryptography' 2>/dev/null && [[ "$1" == yes ]]; then
        python3 -m pip install -q cryptography >&2 || install_packages python3-cryptography ||
            echo "missing: Python's package cryptography. Left out: a TLS client written from PROTOCOL.md" >&2
    fi
    tell_what_is_missing
}

# as_root COMMAND…: runs it as root, or fails where that takes a password.
as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo -n "$@"
    fi
}

install_packages() {
    if ! command -v apt-get >/dev/null 2>&1 || ! as_root true 2>/dev/null; then
        echo "missing packages: $*. Install them with: sudo apt-get install $*" >&2
        return 0
    fi
    echo "installing $*" >&2
    local policy=/usr/sbin/policy-rc.d code=0 placed=no
    # openssh-server would start listening on port 22 as soon as it is unpacked. The tests want its program alone.
    if [[ ! -e "$policy" ]] && printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null; then
        as_root chmod 755 "$policy"
        placed=yes
    fi
    {
        as_root apt-get -qq update &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y "$@"
    } </dev/null >&2 || code=$?
    if [[ "$placed" == yes ]]; then
        as_root rm -f "$policy"
        keep_services_off "$@"
    fi
    return "$code"
}

# Debian enables the services of servers for the next boot; a test run has no business doing that.
keep_services_off() {
    command -v systemctl >/dev/null 2>&1 || return 0
    local package
    for package in "$@"; do
        case "$package" in
            openssh-server) as_root systemctl disable ssh >/dev/null 2>&1 || true ;;
            nginx-light) as_root systemctl disable nginx >/dev/null 2>&1 || true ;;
            redis-server | memcached | mosquitto | postgresql)
                as_root systemctl disable "$package" >/dev/null 2>&1 || true
                ;;
        esac
    done
}

tell_what_is_missing() {
    local command packages lost
    while IFS='|' read -r command packages lost; do
        if [[ -n "$command" ]] && ! command -v "$command" >/dev/null 2>&1; then
            echo "missing: $command (Debian: $packages). Left out: $lost" >&2
        fi
    done <<<"$NEEDS"
}
