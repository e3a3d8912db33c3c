//! Findings about settings that are carried over, and about what Docker did beside them.

use super::{CheckInfo, on_docker};
use crate::model::{Facts, Finding, Severity};

/// The entries of this subject.
pub const CHECKS: &[CheckInfo] = &[
    CheckInfo {
        id: "proxy-without-cluster",
        severity: Severity::Warn,
        summary: "NO_PROXY does not cover the cluster's services",
        explanation: "With Docker only image pulls saw the proxy. containerd starts CNI plugins, and they inherit its \
            environment: a plugin that reaches the API server by its service address would ask the proxy for it, and no \
            pod would get a network. castoff adds to NO_PROXY what files on the node name (the API server of kubeconfigs, \
            host-local's ranges, ranges in control plane manifests, the cluster's domain). The services' range stands in \
            no file of most worker nodes; add it by hand.",
        run: None,
    },
    CheckInfo {
        id: "runtime-not-carried",
        severity: Severity::Block,
        summary: "Docker's default runtime is not carried over",
        explanation: "Pods that name no RuntimeClass ran on Docker's `default-runtime`. containerd has no handler of that \
            name, and castoff could not make one from `runtimes` (it has runtimeArgs, or is not listed there), so those \
            pods would run on runc: GPU pods would see no GPU. Add the handler to containerd's configuration, or skip \
            the check if runc is what you want.",
        run: None,
    },
    CheckInfo {
        id: "runtime-program-missing",
        severity: Severity::Warn,
        summary: "the program of a runtime is not there",
        explanation: "Docker's `runtimes` names a program that does not exist. Docker starts anyway and fails only when a \
            container asks for that runtime; the handler that castoff writes for containerd behaves the same.",
        run: None,
    },
    CheckInfo {
        id: "seccomp-profile-narrower",
        severity: Severity::Warn,
        summary: "Docker's seccomp profile does not hold for pods that ask for RuntimeDefault",
        explanation: "Docker applied its `seccomp-profile` to pods whose securityContext asks for RuntimeDefault. \
            containerd's runtime default is built in and cannot be exchanged; its `unset_seccomp_profile`, which the plan \
            sets, is for pods for which kubelet asks nothing at all. Copy the profile below /var/lib/kubelet/seccomp and \
            name it as Localhost in the pods that need it.",
        run: None,
    },
    CheckInfo {
        id: "unprivileged-ports",
        severity: Severity::Warn,
        summary: "programs without root can no longer bind ports below 1024",
        explanation: "Docker 20.10 and later sets net.ipv4.ip_unprivileged_port_start=0 in every container. containerd has \
            enable_unprivileged_ports for it from 1.6 on (and on by default from 2.0), which the plan sets; the containerd \
            of this node is older. Give the pods concerned that sysctl or the capability NET_BIND_SERVICE.",
        run: None,
    },
    CheckInfo {
        id: "containerd-unit-kills-pods",
        severity: Severity::Warn,
        summary: "containerd.service lacks what keeps pods alive",
        explanation: "Without `KillMode=process` systemd kills every shim, and so every pod, when containerd restarts; \
            without `Delegate=yes` it may move containers out of their cgroups. containerd's own unit has both; here the \
            unit was replaced. The plan adds a drop-in.",
        run: None,
    },
    CheckInfo {
        id: "sysctl-contradicted",
        severity: Severity::Warn,
        summary: "a file switches off what Docker switched on again at each start",
        explanation: "A sysctl file of this node sets to 0 what Docker sets to 1 whenever it starts, so that the file never \
            had an effect while Docker ran. Pods need the value Docker set; the plan writes a file that is read later and \
            wins. Take the old line out, or the next tool that sorts these files may decide otherwise.",
        run: None,
    },
    CheckInfo {
        id: "ip-forward-off",
        severity: Severity::Warn,
        summary: "this node forwards no packets",
        explanation: "net.ipv4.ip_forward is 0 although Docker runs, which sets it to 1 when it starts: something has \
            switched it off since. Without it packets of pods do not leave the node. The plan writes the value down for \
            the next boot and does not change the running kernel.",
        run: None,
    },
    CheckInfo {
        id: "data-root-own-disk",
        severity: Severity::Warn,
        summary: "Docker's data is on a disk of its own, containerd's is not",
        explanation: "Images and containers move to containerd's root, by default /var/lib/containerd on the root file \
            system, which may be too small for them: kubelet then evicts pods. The plan puts containerd's data beside \
            Docker's when that is safe. Here it is not, for the reason that is given; mount a disk at \
            /var/lib/containerd, or set `root` in containerd's configuration, before the move.",
        run: None,
    },
    CheckInfo {
        id: "containerd-root-unlabelled",
        severity: Severity::Warn,
        summary: "SELinux does not know containerd's new directory",
        explanation: "The policy of container-selinux labels /var/lib/containerd. A root elsewhere gets the label of its \
            parent directory, and containers may not read their own files. Tell the policy that both are alike with \
            `semanage fcontext -a -e` before the move; castoff changes no policy.",
        run: None,
    },
    CheckInfo {
        id: "docker-forward-drop",
        severity: Severity::Note,
        summary: "Docker's firewall rules stay until the next boot",
        explanation: "Docker sets the policy of the iptables chain FORWARD to DROP and adds chains of its own. Nobody takes \
            them back when it stops: until the next boot the node forwards only what a rule allows, which CNI plugins and \
            kube-proxy add for pods; afterwards the policy is ACCEPT. If you rely on Docker's DROP as a firewall, write \
            that rule down yourself. castoff changes no firewall.",
        run: Some(forward_drop),
    },
    CheckInfo {
        id: "socket-is-directory",
        severity: Severity::Block,
        summary: "a directory is where containerd's socket should be",
        explanation: "A pod with a hostPath volume of containerd's socket was started while there was no socket, and an \
            empty directory was made in its place. containerd cannot bind to it and would not start. Remove the \
            directory; it holds nothing.",
        run: Some(socket_is_directory),
    },
];

pub fn forward_drop(facts: &Facts) -> Vec<Finding> {
    let says = |key: &str| {
        facts.docker.setting(key).and_then(|setting| match &setting.value {
            serde_json::Value::Bool(on) => Some(*on),
            value => value.as_str()?.parse().ok(),
        })
    };
    if !on_docker(facts) || says("iptables") == Some(false) || says("ip-forward-no-drop") == Some(true) {
        return Vec::new();
    }
    vec![
        Finding::new("docker-forward-drop", Severity::Note, "Docker's firewall rules stay until the next boot")
            .cause("Docker sets the policy of FORWARD to DROP, and nobody takes that back when it stops")
            .fix("reboot when it suits, or look at `iptables -S FORWARD`"),
    ]
}

pub fn socket_is_directory(facts: &Facts) -> Vec<Finding> {
    let Some(endpoint) = &facts.containerd.endpoint else { return Vec::new() };
    let socket = endpoint.value.trim_start_matches("unix://");
    // A trailing slash stands for "as a directory".
    if facts.surroundings.paths.get(&format!("{socket}/")) != Some(&true) {
        return Vec::new();
    }
    vec![
        Finding::new("socket-is-directory", Severity::Block, format!("{socket} is a directory"))
            .cause("a hostPath volume made it while there was no socket; containerd cannot bind to it")
            .fix(format!("rmdir {socket}"))
            .at(crate::model::Origin::path(socket)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DockerSetting, Origin, RuntimeKind, Secret, Sourced};

    #[test]
    fn a_directory_in_place_of_the_socket_blocks() {
        let mut facts = Facts::empty(true);
        let endpoint = "unix:///run/containerd/containerd.sock".to_owned();
        facts.containerd.endpoint = Some(Sourced::new(endpoint, Origin::default_of("containerd")));
        assert!(socket_is_directory(&facts).is_empty());
        facts.surroundings.paths.insert("/run/containerd/containerd.sock/".into(), true);
        assert_eq!(socket_is_directory(&facts)[0].severity, Severity::Block);
    }

    #[test]
    fn docker_that_leaves_the_firewall_alone_leaves_nothing_behind() {
        let mut facts = Facts::empty(true);
        assert!(forward_drop(&facts).is_empty(), "no Docker");
        facts.kubelet.runtime = Some(Sourced::new(RuntimeKind::Dockershim, Origin::default_of("kubelet")));
        assert_eq!(forward_drop(&facts).len(), 1);
        for (key, value) in [("iptables", false), ("ip-forward-no-drop", true)] {
            let mut facts = facts.clone();
            facts.docker.settings.push(DockerSetting {
                key: key.into(),
                value: value.into(),
                raw: Secret::new(value.into()),
                origin: Origin::file("/etc/docker/daemon.json", 2),
            });
            assert!(forward_drop(&facts).is_empty(), "{key}");
        }
    }
}
