//! The documents castoff writes, for `castoff-report(5)`. `tests/pages.rs` looks for each field in the real ones.

/// One kind of document.
#[derive(Clone, Copy, Debug)]
pub struct Document {
    /// Its `kind`.
    pub kind: &'static str,
    /// The command that writes it.
    pub from: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Fields that may be relied on, and what they hold.
    pub fields: &'static [(&'static str, &'static str)],
}

/// All of them.
pub const DOCUMENTS: &[Document] = &[
    Document {
        kind: "Facts",
        from: "castoff inspect -o json",
        about: "What is there. A value that came from the node is an object with `value` and `origin` (`kind`, `path`, \
                `line`). What could not be seen is left out and named in `unseen`.",
        fields: &[
            ("node", "host name, operating system, kernel, architecture, systemd"),
            ("cgroup", "`mode`: unified, hybrid or legacy"),
            ("docker", "version, cgroup driver, data root, settings, containers and images"),
            ("containerd", "version, version of its configuration, CRI, cgroup driver, root"),
            ("kubelet", "version, endpoint, cgroup driver, flags"),
            ("findings", "what is notable, see Plan"),
        ],
    },
    Document {
        kind: "Plan",
        from: "castoff plan -o json",
        about: "What would be done. `castoff plan --out FILE` writes the same with the contents of files, which `castoff \
                apply` needs; that file is readable for its owner only.",
        fields: &[
            ("id", "four hexadecimal digits of the digest"),
            ("digest", "over everything that would be done"),
            ("goal", "`containerd` or `cgroup-driver`"),
            (
                "summary",
                "how many files are created, updated and deleted, how many actions run, how many cannot be undone",
            ),
            ("findings", "each with `id`, `severity` (block, warn, note), `summary`, `cause`, `fix` and `origins`"),
            (
                "verdicts",
                "what becomes of each of Docker's settings: `setting`, `value`, `origin`, `verdict` (carried, equal, \
                 no-equivalent, manual), `target`, `note`",
            ),
            ("steps", "in order, each with `id`, `index`, `change`, `risk`, `undo`, `why` and `action`"),
        ],
    },
    Document {
        kind: "RunReport",
        from: "castoff show -o json",
        about: "How a run ended. It is also written as `report.json` into the run's folder, and by `castoff apply -o json` \
                and `castoff migrate --yes -o json`.",
        fields: &[
            ("run", "the run's name"),
            ("outcome", "no-change, applied, blocked, rolled-back, stuck or interrupted"),
            ("exitCode", "what the command ended with"),
            ("phases", "each with `name` and `seconds`"),
            ("downtime", "`kubeletSeconds` and `workloadSeconds`"),
            ("steps", "each with `index`, `id`, `status`, `seconds` and `detail`"),
            ("verification", "the checks of the proof, see Verification"),
            ("findings", "those of the plan"),
        ],
    },
    Document {
        kind: "Verification",
        from: "castoff verify -o json",
        about: "What was proven.",
        fields: &[
            ("level", "config, runtime, cri or node"),
            ("checks", "each with `id`, `status` (pass, fail, skip), `seconds` and `detail`"),
            ("bench", "samples of `--bench`, in critest's form"),
        ],
    },
    Document {
        kind: "FleetReport",
        from: "castoff report merge FILE… -o json",
        about: "Many nodes in one document.",
        fields: &[
            ("nodes", "each with its state, run, downtime and findings"),
            ("totals", "how many nodes are in which state, by wave, and how long they were away"),
            ("findings", "each with `id`, `count` and `nodes`"),
        ],
    },
];
