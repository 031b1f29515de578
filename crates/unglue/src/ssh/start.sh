m=$1$2; f=$3; shift 3;
if [ $# -gt 1 ]; then a=$(uname -m); else a="*"; fi;
for c do
case $c in $a/*) ;; *) continue ;; esac;
v=${c#*/};
for d in "${XDG_CACHE_HOME:-$HOME/.cache}/unglue" "$XDG_RUNTIME_DIR/unglue" /dev/shm/unglue-* /tmp/unglue-*; do
case $f$d in 0/dev/shm/*|0/tmp/*) [ -O "$d" ] && [ -O "$d/$v/unglue" ] || continue ;; 0*) ;; *) break ;; esac;
if [ -x "$d/$v/unglue" ]; then echo "$m run $d/$v/unglue"; exec "$d/$v/unglue" __serve-over-ssh "$m" "$v"; fi;
done;
done;
echo "$m need";
IFS= read -r n && PATH=$PATH:/usr/local/bin:/usr/bin:/bin && eval "$(head -c "$n")"
