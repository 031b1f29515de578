# Runs on the other side when the program isn't there yet; sent by the client, after start.sh has asked for it. Each line of
# its standard output starts with the marker. It never writes outside of the directories that it names.
# From start.sh: m is the marker.
say() {
    printf '%s %s\n' "$m" "$*"
}

first_line() {
    printf '%s\n' "$1" | { IFS= read -r line; printf '%s' "$line"; }
}

# Whether the directory $1, which is $2 (own or shared), may hold the program. If not, $why says so.
usable() {
    if [ -e "$1" ] || [ -L "$1" ]; then :; else
        out=$(mkdir -p -m 700 "$1" 2>&1) || { why=$(first_line "$out"); return 1; }
    fi
    if [ "$2" = shared ]; then
        # Others can make names there: it must be a directory of this user's own that nobody else may write.
        if [ -L "$1" ] || [ ! -d "$1" ] || [ ! -O "$1" ]; then why="$1 belongs to another user"; return 1; fi
        case $(ls -ld "$1") in drwx------*) ;; *) why="$1 has other modes than 0700"; return 1 ;; esac
    fi
    t=$1/.upload-$$-$part
    out=$( { printf '#!/bin/sh\nexit 0\n' >"$t"; } 2>&1) || { rm -f "$t"; why="$1 can't be written"; return 1; }
    chmod 700 "$t"
    "$t" 2>/dev/null || { rm -f "$t"; why="$1 can't be executed from (noexec?)"; return 1; }
}

# Takes the bytes that the client sends now into $t. All of them are read, whatever happens to them.
receive() {
    out=$( { head -c "$length" | { { $unpack >"$t"; } 2>&1; cat >/dev/null; }; } 2>&1)
    got=$(($(wc -c <"$t")))
    [ "$got" -eq "$size" ] && return
    rm -f "$t"
    why="$1: $got of $size bytes arrived $(first_line "$out")"
    return 1
}

# Tries one directory: $1 its path, $2 own or shared. Doesn't return if the program runs from there.
try() {
    why=
    if [ -x "$1/$v/unglue" ] && [ "$again" = 0 ] && { [ "$2" = own ] || [ -O "$1/$v/unglue" ]; }; then
        run "$1/$v/unglue"
    fi
    if usable "$1" "$2" && say send "$1" && receive "$1"; then
        # It proves its digest, takes its place, and removes old versions.
        out=$("$t" __settle "$v" "$1" 2>&1)
        code=$?
        [ "$code" = 0 ] && run "$1/$v/unglue"
        rm -f "$t"
        say unfit "$code" "$(first_line "$out")"
        otherwise
    fi
    reasons="$reasons; $why"
}

run() {
    say run "$1"
    exec "$1" __serve-over-ssh "$m" "$v"
}

# There is no place for the program, or it doesn't run: what the client wants now.
otherwise() {
    IFS=' ' read -r verb rest
    [ "$verb" = installed ] && use_installed
    exit 1
}

use_installed() {
    say run "$installed"
    say ready
    exec "$installed" serve --stdio
}

t=
trap 'rm -f "$t" 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM PIPE
umask 077
unpack=cat packed=plain
if command -v gzip >/dev/null 2>&1; then unpack='gzip -dc' packed=gzip; fi
installed=$(command -v unglue)
say system "$(uname -s)" "$(uname -m)" "$packed" "$installed"
IFS=' ' read -r verb v size length part again
case $verb in
put) ;;
installed) use_installed ;;
*) exit 1 ;;
esac
reasons=
if [ -n "$XDG_CACHE_HOME" ]; then
    try "$XDG_CACHE_HOME/unglue" own
elif [ -d "$HOME" ]; then
    try "$HOME/.cache/unglue" own
else
    reasons="; the home ${HOME:-(none)} is not there"
fi
if [ -n "$XDG_RUNTIME_DIR" ] && [ -d "$XDG_RUNTIME_DIR" ]; then try "$XDG_RUNTIME_DIR/unglue" own; fi
user=$(id -u)
for shared in /dev/shm /tmp; do
    if [ -d "$shared" ]; then try "$shared/unglue-$user" shared; fi
done
say nowhere "${reasons#; }"
otherwise
