//! What can keep a run from beginning. Found by `apply`, which may look at the machine at that very moment.

use super::CheckInfo;
use crate::model::Severity;

/// The entries of this subject. They are about one plan at one moment, so they are found anew for a saved plan.
pub const CHECKS: &[CheckInfo] = &[
    CheckInfo {
        id: "place-not-writable",
        severity: Severity::Block,
        summary: "a file of the plan, or a run's directory, cannot be written",
        explanation: "A plan is carried out whole or not at all, so castoff looks before the first step whether every file can \
            be replaced: a file system mounted read-only, the attributes `i` and `a` of chattr on a file or its directory, \
            and a mount on the file itself all forbid it. A file is replaced by rename, which is why a bind mount on one \
            is in the way. Undo that for the time of the run; the rollback needs it too.",
        run: None,
    },
    CheckInfo {
        id: "no-room-for-run",
        severity: Severity::Block,
        summary: "there is no room for a run's files and backups",
        explanation: "Before a file is written its old content is kept below /var/lib/castoff/runs, and the new content is \
            written beside the old one. Both need room, and inodes. A disk that fills up later, in the middle of a run, \
            ends in a rollback, which needs room as well: so it is asked before. `castoff history --prune` removes old \
            runs.",
        run: None,
    },
    CheckInfo {
        id: "node-being-changed",
        severity: Severity::Block,
        summary: "a package manager or kubeadm is changing the node right now",
        explanation: "dpkg, apt and rpm hold a lock while they replace programs, units and configuration files; kubeadm writes \
            kubelet's files while it runs. A plan made in the middle of that is for a node that is gone a moment later. \
            Wait until they are done. castoff does not lock them out: what they change during a run is found by its \
            digest, the run is taken back, and their file is left alone.",
        run: None,
    },
    CheckInfo {
        id: "program-not-lasting",
        severity: Severity::Warn,
        summary: "after a reboot in the middle nobody would end the run",
        explanation: "While a run is open, units of its own end it after a power cut, and the dead man's switch takes it back. \
            They start the very program the run was begun with. From /tmp, /run or /dev/shm it is gone after a boot, and the \
            run waits for a person with `castoff resume` or `castoff rollback`. Install castoff before you migrate.",
        run: None,
    },
    CheckInfo {
        id: "program-not-startable",
        severity: Severity::Warn,
        summary: "systemd cannot start the program that the units of a run name",
        explanation: "Right before the first step systemd starts `castoff --version` once, as it would start the units of the \
            run after a power cut. Where that fails, neither the recovery nor the dead man's switch would ever run: with `--try` \
            the run is refused, without it this is a warning. On a node with SELinux in enforcing mode the usual cause is a \
            program below /root or /home, or one that was moved from there with mv and kept its label (`ls -Z`; status \
            203/EXEC in the journal of castoff-program.service). Install castoff as /usr/local/bin/castoff and run \
            `restorecon -v /usr/local/bin/castoff`. A file system mounted `noexec` does the same.",
        run: None,
    },
    CheckInfo {
        id: "castoff-in-container",
        severity: Severity::Block,
        summary: "castoff is in a container that the run would stop",
        explanation: "A run stops every container of the node's pods, and Docker. castoff moves itself into a scope of systemd's \
            first, out of the session, service or pod it was started in; where it cannot leave a container it would end itself in \
            the middle, with kubelet stopped. So it is with a pid namespace of its own, which ends with the container. Run it on \
            the node: over ssh, or from a pod as a unit of the node's systemd, with `chroot /host systemd-run --wait --pipe \
            /usr/local/bin/castoff migrate --yes`; `castoff show` tells the rest when the pod's terminal is gone.",
        run: None,
    },
];
