# cases.sh RUNTIME DRIVER, on a node: runs bundles and tells what came of them.
# In /var: programs cannot be run from /run.
name=$1 driver=$2 dir=/var/lib/lab-bundles
case $name in
castoff) runtime='castoff oci' ;;
runc) runtime=runc ;;
esac
flag=''
[ "$driver" = systemd ] && flag=--systemd-cgroup
at() { # at ID: its cgroup below the mount of the controllers
    if [ "$driver" = systemd ]; then echo "castoff.slice/castoff-$1.scope"; else echo "castoff/$1"; fi
}
if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then v2=yes; else v2=''; fi
memory() { if [ $v2 ]; then echo "$(at "$1")/memory.max"; else echo "memory/$(at "$1")/memory.limit_in_bytes"; fi; }
pids() { if [ $v2 ]; then echo "$(at "$1")/pids.max"; else echo "pids/$(at "$1")/pids.max"; fi; }
left() { find /sys/fs/cgroup -depth -type d -path "*$(at "$1")*" | head -n 3; }

run() { # run CASE ID WHAT...
    local what=$1 id=$2
    shift 2
    rm -rf $dir
    castoff oci $flag spec --bundle $dir "$id" "$@" || return
    out=$($runtime $flag --root "/run/lab-$name" run --bundle $dir "$id" 2>/run/lab-err)
    code=$?
    printf '%s code %s: %s\n' "$what" $code "$(echo "$out" | paste -sd' ')"
    [ $code = 1 ] && cat /run/lab-err >&2
    [ -z "$(left "$id")" ] || echo "LEFT $what: $(left "$id")"
}
run host-name t1 uname
run exit-code t2 exit 7
run limits t3 cat "/host-cgroup/$(memory t3)" "/host-cgroup/$(pids t3)"
run out-of-memory t4 alloc 64
run within-memory t5 alloc 8
run too-many-processes t6 forks 80
run forbidden-call t7 mkdir /tmp/x
run read-only-root t8 write /x text
run privileges t9 cat /proc/self/status | sed 's/.*\(CapInh.*CapAmb:[^ ]*\)/\1/; s/Cpus_allowed.*//' | tr -s '\t ' ' '
run devices t10 write /dev/null text

# Where the processes of a container are, and that systemd knows the scope.
rm -rf $dir
castoff oci $flag spec --bundle $dir t11 pause
$runtime $flag --root "/run/lab-$name" create --pid-file /run/lab-pid --bundle $dir t11 </dev/null >/dev/null 2>&1
$runtime $flag --root "/run/lab-$name" start t11
if [ $v2 ]; then line='^0::'; else line=':memory:'; fi
place=$(grep "$line" "/proc/$(cat /run/lab-pid)/cgroup" | cut -d: -f3)
if [ "$place" = "/$(at t11)" ]; then echo "place $place ok"; else echo "place $place, not /$(at t11)"; fi
if [ "$driver" = systemd ]; then echo "scope $(systemctl is-active castoff-t11.scope)"; fi
$runtime $flag --root "/run/lab-$name" exec t11 /probe exit 9
echo "exec code $?"
systemctl daemon-reload
echo "after a reload: $(cat "/sys/fs/cgroup/$(memory t11)") $(cat "/sys/fs/cgroup/$(pids t11)")"
$runtime $flag --root "/run/lab-$name" kill t11 TERM
for _ in $(seq 50); do [ -d "/proc/$(cat /run/lab-pid)" ] || break; sleep 0.1; done
$runtime $flag --root "/run/lab-$name" delete t11
echo "delete code $?"
sleep 0.5
[ -z "$(left t11)" ] || echo "LEFT t11: $(left t11)"
if [ "$driver" = systemd ]; then echo "scope $(systemctl is-active castoff-t11.scope)"; fi
