//! What the pages say of each command beside its options. A test parses every example.

/// What a page says of one command.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// The command's words after `castoff`; empty for castoff itself.
    pub command: &'static str,
    /// Paragraphs.
    pub text: &'static [&'static str],
    /// Command lines, and what each is for.
    pub examples: &'static [(&'static str, &'static str)],
    /// Exit codes that it can end with.
    pub codes: &'static [u8],
    /// Files it is about: entries of [`FILES`].
    pub files: &'static [&'static str],
    /// Pages to read next, `name(section)`.
    pub see: &'static [&'static str],
}

const PROFILE: &str = "/etc/castoff/profile.toml";
const RUNS: &str = "/var/lib/castoff/runs/";
const LOCK: &str = "/run/castoff.lock";
const UNITS: &str = "/etc/systemd/system/castoff-*";

/// Files of castoff's own.
pub const FILES: &[(&str, &str)] = &[
    (PROFILE, "What is wanted of this node, see castoff-profile(5). It does not have to be there."),
    (
        RUNS,
        "One folder per run: the plan, the journal, backups of every file that was changed, and the report. Readable for \
         root only. A rollback needs it.",
    ),
    (LOCK, "Locked while castoff changes something. The kernel gives the lock back when the process ends."),
    (
        UNITS,
        "While a run is open: units that end it after a reboot, and with `--try` the timer that takes it back. They are \
         gone when the run has ended.",
    ),
    (
        "/etc/castoff/kubelet.env",
        "kubelet's flags, on nodes where a package ships the file they stood in. kubelet reads it.",
    ),
];

/// Variables.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    ("NO_COLOR", "Set to anything: no colours, unless `--color always` is given. `TERM=dumb` does the same."),
    ("CLICOLOR_FORCE", "Set to anything but 0: colours where there is no terminal too."),
    ("CASTOFF_NO_PROGRESS", "Set to anything: one line for each step instead of a line that moves."),
    ("CI", "Set to anything: nothing is ever asked."),
    ("LC_ALL, LC_CTYPE, LANG", "Where the first of these that is set does not name UTF-8, symbols are ASCII."),
];

const LOOKS: &[u8] = &[0, 1, 64];
const CHANGES: &[u8] = &[0, 1, 3, 4, 5, 6, 64, 75, 77, 130];

/// All commands, in the order of the help.
pub const WORDS: &[Words] = &[
    Words {
        command: "",
        text: &[
            "castoff moves a live Kubernetes node from Docker (dockershim or cri-dockerd) to containerd. It reads the node, \
             shows every change as a diff, makes the changes as one run with a journal, and then proves that pods run on \
             containerd. A run can be taken back, also after a commit, and after a kill or a power cut.",
            "The usual way is `castoff inspect`, `castoff plan`, `castoff migrate`, and `castoff commit` or `castoff \
             rollback`. `castoff demo` shows all of it on a sample node in a temporary folder, without root.",
            "With `--root DIR` a command looks at a node's file tree instead of this machine; nothing live is asked or \
             touched. What a tree cannot tell is stated with `--assume`.",
            "Standard output has the data that was asked for; progress, questions, warnings and errors go to standard error.",
        ],
        examples: &[
            ("castoff demo", "everything once, on a sample node"),
            ("castoff plan", "what would be done on this node; nothing is written"),
            ("castoff migrate", "move this node, with questions"),
            ("castoff migrate --yes --try 10m", "move it without questions; taken back unless kept within ten minutes"),
            ("castoff rollback", "take the newest run back"),
        ],
        codes: &[0, 1, 2, 3, 4, 5, 6, 64, 75, 77, 130],
        files: &[PROFILE, RUNS, LOCK, UNITS, "/etc/castoff/kubelet.env"],
        see: &["castoff-profile(5)", "castoff-report(5)", "containerd(8)", "kubelet(1)"],
    },
    Words {
        command: "inspect",
        text: &[
            "Shows Docker, containerd, kubelet, CNI and the pods of a node, each value with the file and line, flag, unit \
                 or daemon it comes from, and what could not be seen. Nothing is changed. Without root some of it cannot be \
                 seen, and it says what.",
        ],
        examples: &[
            ("castoff inspect", "this node"),
            ("castoff inspect -o json", "the Facts document"),
            ("castoff inspect --root /mnt/node --assume kubelet.version=1.23.17", "a copy of a node's files"),
            ("castoff inspect --bundle node.tar.zst", "what a plan needs, in one file for somebody else"),
        ],
        codes: LOOKS,
        files: &[PROFILE],
        see: &["castoff-check(8)", "castoff-plan(8)", "castoff-report(5)"],
    },
    Words {
        command: "check",
        text: &[
            "Shows findings only, those of the planner and of the trial too. `block` forbids a migration, `warn` should be \
                 known before, `note` is said for completeness. `--cluster` looks through the pods of the whole cluster \
                 instead, once, before the first node moves.",
        ],
        examples: &[
            ("castoff check", "what is notable about this node"),
            ("castoff check --fatal-warnings", "end with 3 for warnings too"),
            ("castoff check --skip-check docker-only-containers", "let one finding not block"),
            ("castoff check --cluster --kubeconfig /root/admin.conf", "who in the cluster depends on Docker"),
            ("castoff check --list", "every finding there is"),
        ],
        codes: &[0, 1, 3, 64],
        files: &[PROFILE],
        see: &["castoff-explain(8)", "castoff-plan(8)"],
    },
    Words {
        command: "plan",
        text: &[
            "Shows ordered steps with their reasons, unified diffs, what becomes of each of Docker's settings, and findings. \
             Nothing is written but the file of `--out`.",
            "A plan saved with `--out` holds file contents and is readable for its owner only. `castoff apply` refuses it when \
             the node is no longer what the plan was made for.",
        ],
        examples: &[
            ("castoff plan", "what would be done"),
            ("castoff plan --no-diff", "steps only"),
            ("castoff plan -o html", "one page for those who review it"),
            ("castoff plan --root node.tar.zst", "for a node whose bundle this is"),
            ("castoff plan --out plan.json", "save it, to be applied exactly as it is"),
            ("castoff plan --detailed-exitcode", "end with 2 when there is something to do"),
            ("castoff plan --goal cgroup-driver", "stay on Docker, unify the cgroup driver only"),
        ],
        codes: &[0, 1, 2, 3, 64],
        files: &[PROFILE],
        see: &["castoff-apply(8)", "castoff-migrate(8)", "castoff-report(5)"],
    },
    Words {
        command: "migrate",
        text: &[
            "Looks, tells what it would do, asks, does it and proves it. The default answer to the last question is no; where \
             pods will restart it is the node's name that has to be typed.",
            "Unless told otherwise the wizard takes the run back after ten minutes without `castoff commit`. With `--yes` \
             nothing is asked and a passed proof commits; `--try` and `--no-commit` leave that to you. A step that fails, or \
             the proof, takes the run back by itself.",
        ],
        examples: &[
            ("castoff migrate", "with questions"),
            ("castoff migrate --yes --drain", "without; pods are evicted first"),
            ("castoff migrate --yes --try 10m", "taken back unless kept within ten minutes of its end"),
            ("castoff migrate --yes --profile site.toml -o json", "as a site wants it; the RunReport document"),
            ("castoff migrate --root /mnt/node", "a file tree; units and pods follow at its next boot"),
        ],
        codes: CHANGES,
        files: &[PROFILE, RUNS, LOCK, UNITS],
        see: &["castoff-plan(8)", "castoff-commit(8)", "castoff-rollback(8)", "castoff-verify(8)"],
    },
    Words {
        command: "apply",
        text: &[
            "Applies a plan that `castoff plan --out` saved, or the one that `castoff plan` would show now. A saved plan \
                 is refused when the node has changed since. Asks once, without `--yes`; else it is as `castoff migrate`.",
        ],
        examples: &[
            ("castoff apply plan.json", "what was reviewed, and nothing else"),
            ("castoff apply --yes --profile /etc/castoff/profile.toml", "without a saved plan"),
            ("castoff apply plan.json --yes --no-commit", "left open until `castoff commit`"),
        ],
        codes: CHANGES,
        files: &[PROFILE, RUNS, LOCK, UNITS],
        see: &["castoff-plan(8)", "castoff-migrate(8)", "castoff-show(8)"],
    },
    Words {
        command: "verify",
        text: &[
            "Compares the node with what is wanted: files, what runs, what CRI answers, and in which cgroups containers \
             landed. It runs containers and pods of castoff's own, apart from the node's, and needs no registry.",
            "`--live` runs them in the node's containerd beside a running kubelet, which may end them.",
        ],
        examples: &[
            ("castoff verify", "everything"),
            ("castoff verify --level config --detailed-exitcode", "files only; 2 when one is not as expected"),
            ("castoff verify --endpoint unix:///run/crio/crio.sock", "another runtime"),
            ("castoff verify --level cri --quick --bench -o json", "measure pods and containers"),
        ],
        codes: &[0, 1, 2, 64, 130],
        files: &[PROFILE],
        see: &["castoff-bench-compare(8)", "castoff-plan(8)"],
    },
    Words {
        command: "rollback",
        text: &[
            "Takes a run back: files byte for byte with owner, mode and times, units and their enablement, images that came \
             along, and pods on Docker. Without a name it is the newest run that holds; a committed run can be taken back, and \
             one that was cut off.",
            "A file that somebody else changed since is left alone and named; `--force` restores it and keeps the other \
             content in the run's backups.",
        ],
        examples: &[
            ("castoff rollback", "the newest run"),
            ("castoff rollback dbe9", "one of them, by the plan's id"),
            ("castoff rollback --force", "files that were changed since, too"),
        ],
        codes: &[0, 1, 5, 64, 75, 77],
        files: &[RUNS, LOCK, UNITS],
        see: &["castoff-history(8)", "castoff-show(8)", "castoff-resume(8)"],
    },
    Words {
        command: "resume",
        text: &[
            "Goes on with a run that was cut off, in the direction in which it was going. Refuses when a file that is \
                 still to be written was changed meanwhile. With `--cluster` it does what a run has put off because the \
                 cluster's API server was away or refused, or the node was kept unproven.",
        ],
        examples: &[
            ("castoff resume", "go on with the newest run"),
            ("castoff resume --cluster", "what the cluster still has to be told"),
        ],
        codes: CHANGES,
        files: &[RUNS, LOCK, UNITS],
        see: &["castoff-rollback(8)", "castoff-history(8)"],
    },
    Words {
        command: "commit",
        text: &[
            "Says that the new state stays, and stops the timer of `--try`. A committed run can still be taken back.",
        ],
        examples: &[("castoff commit", "the newest run stays")],
        codes: &[0, 1, 64, 75, 77],
        files: &[RUNS, UNITS],
        see: &["castoff-migrate(8)", "castoff-rollback(8)"],
    },
    Words {
        command: "history",
        text: &[
            "Lists the runs on this node, newest first, with their state, downtime and size, and which files are no \
                 longer as the run left them. `--prune` removes old runs, but none that may still be needed.",
        ],
        examples: &[
            ("castoff history", "all runs"),
            ("castoff history -o json", "as a document"),
            ("castoff history --prune --keep 10", "leave ten"),
        ],
        codes: &[0, 1, 64, 75, 77],
        files: &[RUNS],
        see: &["castoff-show(8)", "castoff-rollback(8)"],
    },
    Words {
        command: "show",
        text: &[
            "Shows one run in full: steps, times, proof, findings, and for a run that is stuck the commands that are left \
                 to do by hand.",
        ],
        examples: &[
            ("castoff show", "the newest run"),
            ("castoff show dbe9 -o json", "its RunReport document"),
            ("castoff show -o html", "one page, with a timeline"),
        ],
        codes: LOOKS,
        files: &[RUNS],
        see: &["castoff-history(8)", "castoff-report(5)"],
    },
    Words {
        command: "schema",
        text: &[
            "Prints the JSON Schema (draft 2020-12) of a document that castoff writes, or of a line of `-o jsonl`. The same are in the \
                 folder `schemas` of the sources.",
        ],
        examples: &[
            ("castoff schema plan", "what `castoff plan -o json` writes"),
            ("castoff schema events", "for whoever reads a run while it goes on"),
        ],
        codes: &[0, 64],
        files: &[],
        see: &["castoff-report(5)"],
    },
    Words {
        command: "images",
        text: &[
            "Docker's images do not belong to containerd. These commands show them and bring them over, mostly without \
                 copying; `castoff migrate` does the same by itself.",
        ],
        examples: &[("castoff images list", "what there is"), ("castoff images carry", "bring over what pods need")],
        codes: &[0, 1, 3, 4, 5, 64, 75, 77, 130],
        files: &[RUNS],
        see: &["castoff-images-list(8)", "castoff-images-carry(8)", "castoff-cleanup(8)"],
    },
    Words {
        command: "images list",
        text: &[
            "Shows which images Docker and containerd have, who needs them, the way they would come, and what that takes.",
        ],
        examples: &[
            ("castoff images list", "what there is"),
            ("castoff images list --mode copy", "what copying would take"),
        ],
        codes: LOOKS,
        files: &[PROFILE],
        see: &["castoff-images-carry(8)"],
    },
    Words {
        command: "images carry",
        text: &[
            "Brings images from Docker's store to containerd's. It is a run like any other: shown first, journaled, and \
                 taken back by `castoff rollback`. Docker and its containers may go on running.",
        ],
        examples: &[
            ("castoff images carry", "what pods, static pods and the sandbox need"),
            ("castoff images carry --all --yes", "all that have a name"),
            ("castoff images carry --image nginx:1.25 --verify-layers", "one, after a check of its layers' digests"),
        ],
        codes: CHANGES,
        files: &[PROFILE, RUNS, LOCK],
        see: &["castoff-images-list(8)", "castoff-rollback(8)"],
    },
    Words {
        command: "cleanup",
        text: &[
            "Removes Docker's data from a node that has moved, its images in containerd's namespace `moby` too, for good: after that no \
                 earlier run can be taken back. Refuses while Docker runs, a run is open or anything still leads into its data. Volumes \
                 stay unless `--volumes` is given, packages are left to the package manager.",
        ],
        examples: &[
            ("castoff cleanup --check", "what would be removed"),
            ("castoff cleanup", "asks for the node's name, then removes it"),
        ],
        codes: &[0, 1, 3, 64, 75, 77, 130],
        files: &[RUNS, LOCK],
        see: &["castoff-rollback(8)", "castoff-images-carry(8)"],
    },
    Words {
        command: "bench",
        text: &["What to do with measurements of `castoff verify --bench`."],
        examples: &[("castoff bench compare before.json after.json", "two measurements side by side")],
        codes: LOOKS,
        files: &[],
        see: &["castoff-bench-compare(8)", "castoff-verify(8)"],
    },
    Words {
        command: "bench compare",
        text: &[
            "Puts two measurements side by side: documents of `castoff verify --bench -o json`, or files that critest \
                 writes.",
        ],
        examples: &[("castoff bench compare before.json after.json", "median and 95th percentile of both")],
        codes: LOOKS,
        files: &[],
        see: &["castoff-verify(8)"],
    },
    Words {
        command: "report",
        text: &["What to do with the documents of many nodes."],
        examples: &[("castoff report merge reports/", "one report out of a folder of documents")],
        codes: &[0, 1, 2, 64],
        files: &[],
        see: &["castoff-report-merge(8)", "castoff-report(5)"],
    },
    Words {
        command: "report merge",
        text: &[
            "Puts documents of many nodes together: what became of each, how long pods were away, common findings, and \
                 what differs between nodes. It asks no node and needs no root. What `--out` writes only its owner can read.",
        ],
        examples: &[
            ("castoff report merge reports/", "as text"),
            ("castoff report merge reports/ -o html --out fleet.html", "one page without anything from elsewhere"),
            ("castoff report merge reports/ --retry-file retry.txt --detailed-exitcode", "for a script"),
        ],
        codes: &[0, 1, 2, 64],
        files: &[],
        see: &["castoff-report(5)", "castoff-show(8)"],
    },
    Words {
        command: "convert",
        text: &[
            "Rewrites containerd's configuration to another version of its schema, comments kept. Both texts are read by a \
                 second parser, and nothing is written unless they say the same. containerd is not restarted.",
        ],
        examples: &[
            ("castoff convert --to 3 --check", "the main file and all it imports, as diffs"),
            ("castoff convert --to 3", "asks, then does it"),
            ("castoff convert --to 3 /etc/containerd/new.toml --yes", "one file, which nothing imports yet"),
        ],
        codes: &[0, 1, 2, 3, 4, 5, 64, 75, 77, 130],
        files: &[RUNS, LOCK],
        see: &["castoff-rollback(8)", "containerd-config.toml(5)"],
    },
    Words {
        command: "explain",
        text: &["Prints the long text behind a finding: what it means, why it matters, what to do."],
        examples: &[("castoff explain no-cni", "why a node without CNI is not moved")],
        codes: &[0, 64],
        files: &[],
        see: &["castoff-check(8)"],
    },
    Words {
        command: "demo",
        text: &[
            "Lays out a sample node in a temporary folder and goes through inspect, plan, migrate, verify, a second \
                 migrate, rollback and history. Nothing else is touched, and no root is needed.",
        ],
        examples: &[
            ("castoff demo", "everything once"),
            ("castoff demo --keep", "leave the folder, to play with it through `--root`"),
        ],
        codes: LOOKS,
        files: &[],
        see: &["castoff-migrate(8)"],
    },
    Words {
        command: "oci",
        text: &[
            "An OCI runtime with runc's commands, made of libcontainer, to tell faults of the kernel from faults of the \
                 node's runc. castoff started by the name castoff-oci is this runtime alone, so that containerd's shim can \
                 start it in runc's place.",
        ],
        examples: &[
            ("castoff oci features", "what this runtime can do, as JSON"),
            ("castoff oci list", "containers below its root"),
            ("castoff oci image --out probe.tar probe", "an image of ten kilobytes, to load elsewhere"),
        ],
        codes: &[0, 1, 64],
        files: &[],
        see: &["castoff-verify(8)", "runc(8)"],
    },
    Words {
        command: "completions",
        text: &[
            "Prints a completion script for a shell. Ids of findings are part of the script; in bash, zsh and fish ids of \
                 runs are looked up while you type, where /var/lib/castoff can be read.",
        ],
        examples: &[
            ("castoff completions bash", "for /usr/share/bash-completion/completions/castoff"),
            ("castoff completions zsh", "for _castoff in a folder of fpath"),
            ("castoff completions fish", "for castoff.fish in ~/.config/fish/completions"),
        ],
        codes: &[0, 64],
        files: &[],
        see: &["castoff-man(8)"],
    },
    Words {
        command: "man",
        text: &[
            "Writes the man pages into a directory, and makes it where it is missing: sections 5 and 8, as files NAME.SECTION. \
                 The example of a profile is in castoff-profile(5).",
        ],
        examples: &[("castoff man /tmp/pages", "all of them")],
        codes: LOOKS,
        files: &[],
        see: &["castoff-completions(8)", "man(1)"],
    },
];

/// The words of a command; those of castoff itself are under the empty name.
pub fn of(command: &str) -> Option<&'static Words> {
    WORDS.iter().find(|words| words.command == command)
}
