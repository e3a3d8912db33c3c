//! Words of castoff that are no findings, with what `castoff explain` says about them: steps, verdicts, exit codes, outcomes.

/// A word and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// As it stands in plans, reports and scripts.
    pub id: &'static str,
    /// One line.
    pub summary: &'static str,
    /// All of it.
    pub text: &'static str,
}

const fn word(id: &'static str, summary: &'static str, text: &'static str) -> Word {
    Word { id, summary, text }
}

/// A kind of words.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// For people, one of them: `step`.
    pub name: &'static str,
    /// For people, many: `Steps`.
    pub title: &'static str,
    /// In the order they are listed.
    pub words: &'static [Word],
}

/// All of them.
pub const GROUPS: &[Group] = &[
    Group { name: "step", title: "Steps", words: STEPS },
    Group { name: "verdict", title: "Verdicts on Docker's settings", words: VERDICTS },
    Group { name: "outcome", title: "Outcomes of a run", words: OUTCOMES },
    Group { name: "exit code", title: "Exit codes", words: EXITS },
];

/// The word of an id; a step's id may have a number behind it, which tells it from others of its kind.
pub fn find(id: &str) -> Option<(&'static Group, &'static Word)> {
    let all = || GROUPS.iter().flat_map(|group| group.words.iter().map(move |word| (group, word)));
    let numbered = || {
        let (kind, number) = id.rsplit_once('-')?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| all().find(|(group, word)| group.name == "step" && word.id == kind)).flatten()
    };
    all().find(|(_, word)| word.id == id).or_else(numbered)
}

const STEPS: &[Word] = &[
    word(
        "start-containerd",
        "an idle containerd starts, to take Docker's images",
        "Where dockerd runs a containerd of its own, the system's containerd.service may be installed and not run. It starts with \
         the configuration it has now, and again with the new one at `restart-containerd`. Nothing stops for it. Taken back: it is \
         stopped.",
    ),
    word(
        "import-images",
        "Docker's images come to containerd while everything still runs",
        "containerd has a store of its own. Without this step every image would be pulled again when the pods start. Images come \
         without being copied where Docker and containerd share a file system. Nothing stops for it. Taken back: Docker gets its \
         layers again, and containerd forgets what was carried. See docs/images.md.",
    ),
    word(
        "cordon",
        "the cluster sends no new pods to the node",
        "The node's object gets `unschedulable`. It is the first step of a drain \
         (`--drain`). Taken back: the node is as schedulable as it was.",
    ),
    word(
        "drain",
        "the node's pods are evicted",
        "Pods leave by the eviction API, which heeds disruption budgets; static pods and those of \
         DaemonSets stay. Pods that would lose data or that nothing makes again forbid it, unless `--drain-force` or \
         `--delete-emptydir-data` says otherwise. Nothing of the node has changed yet.",
    ),
    word(
        "stop-kubelet",
        "kubelet stops; pods go on running",
        "kubelet must not see half of the change: it would start pods on whatever \
         answers. Containers do not need it to run. From here until `start-kubelet` the cluster sees the node without news. Taken \
         back: kubelet is started again.",
    ),
    word(
        "stop-docker-pods",
        "the containers that kubelet made through Docker stop",
        "Pods must not run twice. Each gets its own grace \
         period, sandboxes are last, and the pods' networks are given back by their CNI plugins. Containers that kubelet did not make \
         are left alone here; they end with Docker. This is where downtime of the workload begins. Taken back: kubelet makes the \
         pods again on Docker.",
    ),
    word(
        "stop-docker",
        "docker.service stops",
        "kubelet no longer uses it. Taken back: it is started again if it was active.",
    ),
    word(
        "stop-docker-socket",
        "docker.socket stops",
        "A socket left listening would start Docker again at the first question. Taken back: it \
         listens again if it did.",
    ),
    word(
        "stop-cri-docker",
        "cri-docker.service stops",
        "cri-dockerd stood between kubelet and Docker; containerd needs nothing like it. Its unit may be called \
         cri-dockerd.service too, as kubespray has it. With `--goal cgroup-driver` it stops because it asks Docker for its driver \
         at its start only. \
         Taken back: it is started again if it was active.",
    ),
    word(
        "stop-cri-docker-socket",
        "cri-docker.socket stops",
        "A socket left listening would start cri-dockerd again. Taken back: it listens \
         again if it did.",
    ),
    word(
        "registry-hosts",
        "a registry's `hosts.toml` is written",
        "Mirrors, insecure registries and certificates of Docker, and \
         containerd's own old tables, become files below one directory, which containerd reads at every pull. What an administrator \
         wrote there wins: hosts are added, none is changed. One step for each registry. See docs/registries.md.",
    ),
    word(
        "containerd-config",
        "containerd's main configuration file changes",
        "The CRI plugin on, systemd's cgroup driver where it is wanted, the \
         sandbox image, what is carried from Docker's settings. The file is edited in place; comments and everything else stay. \
         containerd reads it at `restart-containerd`.",
    ),
    word(
        "containerd-import",
        "a file that containerd's configuration imports changes",
        "An imported file may say something that wins over the \
         main file; then it is the one that has to change.",
    ),
    word(
        "containerd-root",
        "containerd.service waits for the disk that its data is on",
        "Docker had its data elsewhere than usual \
         (`data-root`), often on a disk of its own, and containerd's data goes beside it. The drop-in keeps containerd from starting \
         before that disk is mounted.",
    ),
    word(
        "containerd-limits",
        "containerd.service gets the limits that docker.service had",
        "Containers inherit the limits of the daemon that \
         starts them. A drop-in carries what Docker's unit or `default-ulimits` gave them.",
    ),
    word(
        "containerd-proxy",
        "containerd.service gets Docker's proxy",
        "Without it containerd pulls past the proxy, or not at all. The drop-in \
         is readable for root only when the proxy has a password.",
    ),
    word(
        "containerd-unit",
        "containerd.service gets a drop-in it needs",
        "Without `KillMode=process` and `Delegate=yes` a restart of the \
         daemon would end its containers, or systemd would manage their cgroups.",
    ),
    word(
        "kernel-modules",
        "modules that only Docker loaded are loaded at boot",
        "dockerd loads `br_netfilter` and `overlay` by itself. Without \
         Docker a file in /etc/modules-load.d has to name them.",
    ),
    word(
        "kernel-sysctls",
        "sysctls that only Docker set are set at boot",
        "dockerd turns on forwarding and bridge filtering at its start. \
         Pod networks need them after it is gone: a file in /etc/sysctl.d keeps them.",
    ),
    word(
        "docker-config",
        "Docker's configuration file gets systemd's cgroup driver",
        "With `--goal cgroup-driver` the node stays on Docker, and \
         Docker and kubelet get the same driver. On the way to containerd it is changed too, so that a Docker that is started \
         again by hand does not use another driver than kubelet.",
    ),
    word(
        "docker-flags",
        "Docker's command line gets systemd's cgroup driver",
        "A flag wins over `daemon.json` or makes dockerd refuse to \
         start; where a flag sets the driver, the flag is what changes.",
    ),
    word(
        "kubelet-config",
        "kubelet's configuration file changes",
        "`cgroupDriver`, and `containerRuntimeEndpoint` where that is what decides. \
         Comments and order stay. kubelet reads it at its start.",
    ),
    word(
        "kubelet-instance-config",
        "kubeadm's instance configuration names the new endpoint",
        "Since 1.34 kubeadm keeps a node's endpoint in \
         /var/lib/kubelet/instance-config.yaml and would write the old one back at the next upgrade.",
    ),
    word(
        "kubelet-flags",
        "kubelet's flags point to containerd",
        "`--container-runtime`, `--container-runtime-endpoint` and the flags of \
         dockershim, in the file or drop-in they come from. Flags that this kubelet would not start with go. One step for each file.",
    ),
    word(
        "kubelet-unit",
        "kubelet's unit no longer needs Docker",
        "A unit with `Requires=docker.service` would not start without it. A drop-in \
         or a copy names containerd instead.",
    ),
    word(
        "crictl-config",
        "crictl asks containerd",
        "/etc/crictl.yaml gets the endpoint, so that `crictl ps` shows the pods without an option.",
    ),
    word(
        "enable-containerd",
        "containerd.service starts at boot by itself",
        "On many nodes Docker's unit was what started containerd.",
    ),
    word(
        "disable-docker",
        "docker.service does not start at boot",
        "Its links are removed. Taken back: the same links are made again, wherever \
         they were.",
    ),
    word(
        "disable-docker-socket",
        "docker.socket does not start at boot",
        "Its links are removed. Taken back: the same links are made again.",
    ),
    word(
        "disable-cri-docker",
        "cri-docker.service does not start at boot",
        "Its links are removed. Taken back: the same links are made again.",
    ),
    word(
        "disable-cri-docker-socket",
        "cri-docker.socket does not start at boot",
        "Its links are removed. Taken back: the same links are made \
         again.",
    ),
    word(
        "mask-docker",
        "nothing can start docker.service",
        "A link to /dev/null stands in its place: a script or an upgrade that starts Docker \
         beside containerd would take the node's network rules over. `docker = \"disable\"` in the profile leaves it out. Taken back: \
         the link is removed.",
    ),
    word(
        "mask-docker-socket",
        "nothing can start docker.socket",
        "As mask-docker. A question at the socket would start Docker otherwise.",
    ),
    word("mask-cri-docker", "nothing can start cri-docker.service", "As mask-docker."),
    word("mask-cri-docker-socket", "nothing can start cri-docker.socket", "As mask-docker."),
    word(
        "reload",
        "systemd reads its files again",
        "`systemctl daemon-reload`: changed units, drop-ins and masks count from here on.",
    ),
    word(
        "restart-containerd",
        "containerd starts with its new configuration",
        "It reads its configuration at start only. Containers that run \
         already are not touched by that. Taken back: it is restarted once its old files are back.",
    ),
    word(
        "await-cri",
        "castoff waits until containerd serves CRI, and tries pods",
        "containerd serves happily without its CRI plugin; kubelet must not \
         find it so. The runtime must be ready, and pods of castoff's own run through it before kubelet is started.",
    ),
    word(
        "start-kubelet",
        "kubelet starts; pods start again",
        "On containerd, with the new configuration. Taken back: it is stopped before \
         anything else is.",
    ),
    word(
        "await-pods",
        "castoff waits until the node's pods run again",
        "The pods that ran before must run on the new runtime. Those that the \
         cluster does not want here any more, and those that have run to their end, are let go; while the API server is away kubelet \
         knows static pods only, and they decide. The time limit is `timeouts.pods` of the profile. This is where downtime of the workload ends.",
    ),
    word(
        "await-etcd",
        "castoff waits until etcd is well and has all it had",
        "On a control plane node with etcd in a static pod: healthy, with a leader, and at no lower revision of its store than \
         when the plan was made. Asked at its metrics address on the loopback. Else the run is taken back.",
    ),
    word(
        "kubelet-config-map",
        "kubeadm's configuration of all kubelets names systemd's driver",
        "With `--cluster-config apply`, on the last node that leaves Docker: the ConfigMap kube-system/kubelet-config, which \
         `kubeadm upgrade node` writes over kubelet's own file. Comments and other fields stay. Taken back: the old value. What the \
         cluster refuses takes no node back; `castoff resume --cluster` tries again.",
    ),
    word(
        "await-node",
        "castoff waits until the cluster sees the node Ready on containerd, and its pods",
        "With news from kubelet as it is now, not from before; and each pod that was Ready before and is still there has \
         to be so again, within `[timeouts] node`, else the run is taken back. An \
         API server that is away does not take the run back: the step is put off until `castoff resume --cluster`.",
    ),
    word(
        "annotate",
        "kubeadm's annotation names the new endpoint",
        "kubeadm before 1.34 keeps each node's endpoint in the annotation \
         kubeadm.alpha.kubernetes.io/cri-socket and uses it at upgrades. What the cluster refuses takes no node back; \
         `castoff resume --cluster` tries again.",
    ),
    word(
        "verify",
        "the node is proven",
        "What `castoff verify` looks at: files, units, CRI, where pods landed. When it fails the run is taken back, \
         unless `--keep-on-verify-failure` is given. See docs/verify.md.",
    ),
    word(
        "uncordon",
        "the cluster may send pods to the node again",
        "The last step of a drain, after the proof. A node that was cordoned before \
         stays cordoned. What the cluster refuses takes no node back; `castoff resume --cluster` tries again.",
    ),
    word(
        "restart-docker",
        "dockerd starts with its new cgroup driver",
        "With `--goal cgroup-driver`. dockerd reads its driver at start only.",
    ),
    word(
        "start-cri-docker",
        "cri-docker.service starts behind Docker",
        "With `--goal cgroup-driver`. cri-dockerd asks Docker for its cgroup driver once, when it starts; with the old one every new \
         pod would fail.",
    ),
    word(
        "convert",
        "a file of containerd's configuration gets another schema version",
        "`castoff convert`: comments stay, and the effective \
         configuration is proven to be the same.",
    ),
];

const VERDICTS: &[Word] = &[
    word(
        "carried",
        "the plan sets the counterpart",
        "Docker's setting has a counterpart in containerd, its unit, kubelet or the kernel's \
         files, and the plan writes it there. The verdict names the place.",
    ),
    word(
        "equal",
        "nothing has to be done",
        "containerd or kubelet does the same without being told, or the setting says what is the default.",
    ),
    word(
        "no-equivalent",
        "there is nothing like it",
        "containerd, kubelet and Kubernetes have nothing that does this. The note says why, and \
         what people do instead.",
    ),
    word(
        "manual",
        "a person has to carry it or decide",
        "There is a counterpart, but which one depends on what is wanted, or castoff does not know \
         the setting. The note says where to look.",
    ),
];

const OUTCOMES: &[Word] = &[
    word("no-change", "there was nothing to do", "The node already is as wanted. Exit code 0."),
    word(
        "applied",
        "the new state holds and was proven",
        "Exit code 0; 6 when the proof failed and was not to take the run back.",
    ),
    word("blocked", "findings forbade it", "Nothing was changed. Exit code 3."),
    word(
        "rolled-back",
        "the old state holds again",
        "A step or the proof failed, everything was taken back, and the old state was compared with what \
         was recorded. Exit code 4; 0 for a rollback that was asked for.",
    ),
    word("interrupted", "stopped by a signal, and the old state holds again", "Exit code 130."),
    word(
        "stuck",
        "neither the new nor the old state holds",
        "Taking back failed too. `castoff show` has the commands that are left to do by hand; \
         `castoff rollback` tries again. Exit code 5.",
    ),
];

const EXITS: &[Word] = &[
    word(
        "0",
        "success",
        "Also \"there is something to do\" (`plan`) and \"not as expected\" (`verify`) without `--detailed-exitcode`, and a rollback \
         that was asked for and done.",
    ),
    word(
        "1",
        "failure; the node is unchanged",
        "Something could not be read or was refused before the first step, or a question was answered \
         with no. Of a command that only looks also: what it found could not be written to standard output. `cleanup` is \
         no run: it may have removed a part, and goes on when it is called again.",
    ),
    word(
        "2",
        "only with `--detailed-exitcode`: something to do, or not as expected",
        "`plan`: there are steps. `verify`: a check failed. `report \
         merge`: a node is not where it should be.",
    ),
    word(
        "3",
        "findings block; the node is unchanged",
        "`castoff check` shows them, `castoff explain ID` tells what each is about, `--skip-check ID` \
         overrules one.",
    ),
    word(
        "4",
        "apply failed and was taken back",
        "The old state holds and was checked. `castoff show` tells which step failed and why.",
    ),
    word(
        "5",
        "neither the new nor the old state holds: the node needs hands",
        "`castoff show` has the commands that are left. `castoff rollback` \
         tries again.",
    ),
    word(
        "6",
        "changed, but the proof failed",
        "Only with `--keep-on-verify-failure`: the new state was kept. `castoff rollback` takes it back.",
    ),
    word(
        "64",
        "wrong use",
        "An unknown command, option, value or id; or a question would have to be asked where nobody can answer.",
    ),
    word(
        "75",
        "another castoff holds the lock; the node is unchanged",
        "Wait until it is done. The message names its process and run.",
    ),
    word(
        "77",
        "not root; the node is unchanged",
        "Only root may change a running node. `inspect`, `check` and `plan` work without, and see less.",
    ),
    word(
        "130",
        "interrupted, and taken back",
        "By SIGINT or SIGTERM, or cancelled at a question. `verify` takes its containers and pods away. After a second signal the run is left as it is: \
         `castoff resume` or `castoff rollback`.",
    ),
];
