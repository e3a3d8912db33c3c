# A container node has the host's kernel and file system, real systemd and real package tools: what stands in castoff's way
# here is real. Pods cannot start in it where the host lacks CAP_SYS_RESOURCE, and none is needed.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"

node_up bookworm-container o

exits() { local wanted=$1 code; shift; "$@"; code=$?; [ $code = "$wanted" ] || { echo "exit code $code, expected $wanted"; return 1; }; }
state() {
    on o 'sh -s' <"$LAB_DIR/scenarios/migrate-bookworm/snapshot.sh" >"$LAB_RESULTS/$1"
}
untouched() { state now && diff "$LAB_RESULTS/before" "$LAB_RESULTS/now"; }
# Refused before the first step: exit code 3, the finding named, the node as it was, and no run.
refused() {
    local finding=$1 words=$2
    on o castoff migrate --yes >"$LAB_RESULTS/refused.log" 2>&1
    [ $? = 3 ] && grep -q "$finding" "$LAB_RESULTS/refused.log" && grep -q "$words" "$LAB_RESULTS/refused.log" && return 0
    cat "$LAB_RESULTS/refused.log"
    return 1
}
# Told not to care, castoff ends in the old state or in the new one, and says in which. The rollback of a proven run
# puts back what the next trial starts from.
whole() {
    on o castoff migrate --yes --no-trial --skip-check pod-trial-failed --keep-on-verify-failure "$@" >"$LAB_RESULTS/whole.log" 2>&1
    local code=$?
    case $code in
    0 | 6) on o castoff rollback >>"$LAB_RESULTS/whole.log" 2>&1 || { cat "$LAB_RESULTS/whole.log"; return 1; } ;;
    1 | 4) ;;
    *) echo "exit code $code"; cat "$LAB_RESULTS/whole.log"; return 1 ;;
    esac
    codes="$codes $code"
}

state before

# -- disks ------------------------------------------------------------------------------------------------------------

disk() { on o "mkdir -p /var/lib/castoff && mount -t tmpfs -o size=$1,mode=700 tmpfs /var/lib/castoff"; }
undisk() { on o 'umount /var/lib/castoff && rmdir /var/lib/castoff'; }

check "a small disk for the runs" disk 512k
check "no room for backups: nothing begins" refused no-room-for-run "kB are needed"
check "nothing was touched" untouched
check "the disk is taken away" undisk

# Told that the room does not matter, the disk fills up at another write each time.
codes=
for size in 4k 12k 20k 24k 28k 32k 36k 40k 44k 48k 52k 56k 60k 64k; do
    disk $size
    check "a disk of $size fills up: old state or new state" whole --skip-check no-room-for-run
    undisk
    check "and everything is as it was after $size" untouched
done
note "exit codes:$codes"
middle() { case $codes in *4*) ;; *) return 1 ;; esac; }
check "some of them failed in the middle" middle

full() { on o 'cp -a /etc/containerd /root/containerd && mount -t tmpfs -o size=16k tmpfs /etc/containerd && cp -a /root/containerd/. /etc/containerd/ &&
    { cat /dev/zero >/etc/containerd/filler 2>/dev/null; true; }'; }
unfull() { on o 'rm -f /etc/containerd/filler && umount /etc/containerd && rm -r /root/containerd'; }
check "containerd's directory is on a disk that is full" full
check "no room for the new file: nothing begins" refused no-room-for-run "/etc/containerd has no room"
check "a full disk in the middle: old state" exits 4 on o castoff migrate --yes --no-trial --skip-check pod-trial-failed --skip-check no-room-for-run
check "what filled it is as it was" on o 'test ! -e /etc/containerd/.config.toml.castoff-tmp && cmp /etc/containerd/config.toml /root/containerd/config.toml'
check "the disk is whole again" unfull
check "everything is as it was" untouched

# -- files that cannot be written -------------------------------------------------------------------------------------

check "/etc is read-only" on o 'mount --bind /etc /etc && mount -o remount,ro,bind /etc'
check "read-only: nothing begins" refused place-not-writable "mounted read-only"
check "read-only, told not to care: nothing begins" exits 1 on o castoff migrate --yes --no-trial --skip-check pod-trial-failed --skip-check place-not-writable
check "/etc is writable again" on o 'umount /etc'
check "nothing was touched" untouched

check "a file is a mount of its own" on o 'mount --bind /etc/docker/daemon.json /etc/docker/daemon.json'
check "a mount on a file: nothing begins" refused place-not-writable "mounted on it"
check "a mount on a file, told not to care: old state" exits 4 on o castoff migrate --yes --no-trial --skip-check pod-trial-failed --skip-check place-not-writable
check "the mount is gone" on o 'umount /etc/docker/daemon.json'
check "everything is as it was" untouched

if on o 'chattr +i /etc/docker/daemon.json' 2>/dev/null; then
    check "an immutable file: nothing begins" refused place-not-writable "immutable"
    check "an immutable file, told not to care: old state" exits 4 on o castoff migrate --yes --no-trial --skip-check pod-trial-failed --skip-check place-not-writable
    check "it may be changed again" on o 'chattr -i /etc/docker/daemon.json'
    check "everything is as it was" untouched
else
    note "chattr +i is not allowed here; not tried"
fi

# -- others at work ---------------------------------------------------------------------------------------------------

package() { on o 'd=$(mktemp -d) && mkdir -p $d/slow/DEBIAN && cd $d &&
    printf "Package: castoff-lab-slow\nVersion: 1\nArchitecture: all\nMaintainer: lab\nDescription: takes its time\n" >slow/DEBIAN/control &&
    printf "#!/bin/sh\ntouch /run/slow-began; while [ ! -e /run/slow-may-end ]; do sleep 0.1; done\n" >slow/DEBIAN/preinst &&
    chmod 755 slow/DEBIAN/preinst && dpkg-deb -b slow >/dev/null &&
    { setsid dpkg -i slow.deb >/root/dpkg.log 2>&1 </dev/null & } && until [ -e /run/slow-began ]; do sleep 0.1; done'; }
check "dpkg installs something that takes its time" package
check "a package manager at work: nothing begins" refused node-being-changed "dpkg (pid"
check "plan says so, and works" exits 3 on o castoff plan
check "the installation ends" on o 'touch /run/slow-may-end; while pgrep -x dpkg >/dev/null; do sleep 0.1; done; dpkg -P castoff-lab-slow'

kubeadm() { on o 'cp /bin/sleep /run/kubeadm && { setsid /run/kubeadm 300 >/dev/null 2>&1 </dev/null & } && until pgrep -x kubeadm >/dev/null; do sleep 0.1; done'; }
check "kubeadm is at work" kubeadm
check "kubeadm at work: nothing begins" refused node-being-changed "kubeadm (pid"
check "kubeadm ends" on o 'pkill -x kubeadm; rm /run/kubeadm'
check "nothing was touched" untouched

# -- a saved plan -----------------------------------------------------------------------------------------------------

check "a plan is saved" on o castoff plan --out /root/plan.json
check "somebody gives kubelet another configuration file" on o 'cp -a /etc/systemd/system/kubelet.service.d/10-kubeadm.conf /root/ && sed -i "s|--config=/var/lib/kubelet/config.yaml|--config=/var/lib/kubelet/other.yaml|" /etc/systemd/system/kubelet.service.d/10-kubeadm.conf && cp -a /var/lib/kubelet/config.yaml /var/lib/kubelet/other.yaml'
stale() { on o castoff apply --yes /root/plan.json 2>&1 | tee "$LAB_RESULTS/stale.log" | grep -q "the plan is stale: the node has changed since it was made"; }
check "the plan is stale, although none of its files was changed" stale
check "that is undone" on o 'mv /root/10-kubeadm.conf /etc/systemd/system/kubelet.service.d/ && rm /var/lib/kubelet/other.yaml'
check "nothing was touched" untouched
check "the plan is as good as ever" on o castoff apply --yes --keep-on-verify-failure --skip-check pod-trial-failed /root/plan.json
check "and is taken back" on o castoff rollback
check "everything is as it was" untouched

# -- old runs ---------------------------------------------------------------------------------------------------------

check "old runs go" on o 'castoff history --prune --keep 1 && [ "$(ls /var/lib/castoff/runs | wc -l)" = 1 ]'
