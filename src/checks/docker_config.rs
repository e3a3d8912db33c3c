//! Findings about Docker's configuration, and about what Docker does here besides running pods.

use super::{CheckInfo, on_docker};
use crate::model::{Facts, Finding, ProblemKind, Severity};

/// The entries of this subject.
pub const CHECKS: &[CheckInfo] = &[
    CheckInfo {
        id: "docker-config-conflict",
        severity: Severity::Block,
        summary: "a setting stands both in dockerd's command line and in its file",
        explanation: "dockerd refuses to start when a setting is given as a flag and in daemon.json (only `runtimes` may be), \
            even with the same value; `hosts` beside the `-H` of the packaged unit and `exec-opts` are the usual ones. A \
            dockerd that runs was started before the second one was written. castoff does not go on, because a rollback \
            could not start Docker again. Remove one of the two places that the finding names.",
        run: Some(conflict),
    },
    CheckInfo {
        id: "docker-config-unknown-key",
        severity: Severity::Warn,
        summary: "dockerd's configuration has a key or flag that this release does not know",
        explanation: "dockerd refuses to start with a key of daemon.json, or a flag, that it does not know: one that is \
            misspelt, or that came or went with another release. A running dockerd proves only that the file was valid \
            when it started. Until it is put right a rollback could not start Docker again.",
        run: Some(unknown_key),
    },
    CheckInfo {
        id: "docker-config-ignored-key",
        severity: Severity::Warn,
        summary: "dockerd's configuration has a key without effect",
        explanation: "dockerd accepts the name of a flag as a key of daemon.json (`insecure-registry`, `log-opt`, `label`) and \
            then reads only the key's own name (`insecure-registries`, `log-opts`, `labels`). What such a line says was \
            never in force, so castoff does not carry it over.",
        run: Some(ignored_key),
    },
    CheckInfo {
        id: "docker-config-stale",
        severity: Severity::Warn,
        summary: "dockerd runs with other settings than its files have",
        explanation: "What dockerd says of itself (`GET /info`) differs from daemon.json and its command line: they were \
            changed after it started. For the cgroup driver, the data root, the storage driver and live-restore castoff \
            believes the daemon; other settings are carried as the files have them, since that is what the next start of \
            Docker would use. The finding names both values.",
        run: Some(stale),
    },
    CheckInfo {
        id: "swarm-active",
        severity: Severity::Block,
        summary: "this node is a member of a Docker swarm",
        explanation: "Services of the swarm run here as Docker's containers, and a manager takes part in its votes. Stopping \
            Docker takes the node out of the swarm without its knowledge. Drain it, let it leave (`docker swarm leave`), \
            then migrate.",
        run: Some(swarm_active),
    },
    CheckInfo {
        id: "control-plane-on-docker",
        severity: Severity::Block,
        summary: "a part of the control plane runs as a plain Docker container",
        explanation: "etcd, the API server, the scheduler or the controller manager was started with Docker itself and is no \
            static pod, as older installers did. Stopping Docker stops it, nothing starts it on containerd, and the cluster \
            may lose its store. Make it a static pod or a systemd service first, one node at a time.",
        run: Some(control_plane_on_docker),
    },
    CheckInfo {
        id: "docker-own-containerd",
        severity: Severity::Note,
        summary: "dockerd runs a containerd of its own",
        explanation: "dockerd started its own containerd (with its socket below /run/docker/containerd), because no system \
            containerd was there when it started or because it was told so. Its CRI plugin is off and it ends with Docker, \
            so kubelet cannot use it: pods move to containerd.service. Both can run side by side meanwhile.",
        run: Some(own_containerd),
    },
    CheckInfo {
        id: "containerd-image-store",
        severity: Severity::Note,
        summary: "Docker keeps its images in containerd's store already",
        explanation: "With the containerd image store (the default of new installations from Docker 29 on) images are in \
            containerd's namespace `moby`, where kubelet does not look: it uses `k8s.io`. Their blobs are \
            shared and their layers cloned; an image whose other platforms were never pulled is carried with the platform that is there.",
        run: Some(image_store),
    },
    CheckInfo {
        id: "storage-without-snapshotter",
        severity: Severity::Warn,
        summary: "Docker's storage driver has no counterpart that works without preparation",
        explanation: "devicemapper, zfs, btrfs and fuse-overlayfs have a snapshotter of another name that must be set up by \
            hand; aufs is gone from containerd 2.0. castoff leaves containerd's default (overlayfs) in place, which needs a \
            file system that supports it below containerd's root: ext4, or XFS made with ftype=1. Check that before.",
        run: Some(storage_driver),
    },
    CheckInfo {
        id: "log-driver-lost",
        severity: Severity::Warn,
        summary: "Docker's log driver has no equivalent",
        explanation: "With journald, syslog, gelf, fluentd and the like dockerd sent the output of containers away. containerd \
            writes files below /var/log/pods and nothing else. Run a log agent as a DaemonSet that reads them, before logs \
            are missed.",
        run: Some(log_driver),
    },
    CheckInfo {
        id: "docker-authorization-plugins",
        severity: Severity::Warn,
        summary: "authorization plugins guarded Docker's API",
        explanation: "Whatever policy the plugins enforced on containers (no privileged ones, only some images) does not hold \
            on containerd, which asks nobody. Pods are judged by the API server: use admission policies there.",
        run: Some(authorization_plugins),
    },
    CheckInfo {
        id: "userns-remap",
        severity: Severity::Warn,
        summary: "Docker maps root in containers to another user (userns-remap)",
        explanation: "containerd has no such setting for a whole node: after the migration root in a pod is root on the node, \
            unless the pod says `hostUsers: false` (Kubernetes 1.33, containerd 2.0). Files that pods own on host paths \
            belong to mapped ids and must be given to the real ones. Docker's data lies below UID.GID in its data root.",
        run: Some(userns_remap),
    },
    CheckInfo {
        id: "registry-credentials-unread",
        severity: Severity::Warn,
        summary: "credentials of registries lie where kubelet does not read them",
        explanation: "`docker pull` used them, kubelet never did: it reads config.json in its root directory \
            (/var/lib/kubelet), in its working directory, in $HOME/.docker, which systemd does not set, and in /.docker. Copy \
            the file to /var/lib/kubelet/config.json with mode 0600 if pods need those registries and have no \
            imagePullSecrets. castoff neither copies nor prints credentials.",
        run: Some(credentials_unread),
    },
    CheckInfo {
        id: "credential-helpers",
        severity: Severity::Warn,
        summary: "credentials come from helpers that kubelet and containerd do not call",
        explanation: "`credsStore` and `credHelpers` in Docker's config.json name programs that only the Docker command line \
            calls. kubelet has its own way: a credential provider plugin (`--image-credential-provider-config`). Until one is \
            set up, pods pull from those registries with imagePullSecrets only.",
        run: Some(credential_helpers),
    },
];

fn finding(id: &str, summary: impl Into<String>) -> Finding {
    let severity = CHECKS.iter().find(|check| check.id == id).map_or(Severity::Warn, |check| check.severity);
    Finding::new(id, severity, summary)
}

fn problems(facts: &Facts, kind: ProblemKind) -> impl Iterator<Item = &crate::model::DockerProblem> {
    facts.docker.problems.iter().filter(move |problem| problem.kind == kind)
}

fn conflict(facts: &Facts) -> Vec<Finding> {
    let one = |problem: &crate::model::DockerProblem| {
        let mut found = finding(
            "docker-config-conflict",
            format!("`{}` stands in dockerd's command line and in its file", problem.key),
        )
        .cause("dockerd refuses to start with a setting in both places")
        .fix("remove one of the two");
        found.origins.clone_from(&problem.at);
        found
    };
    problems(facts, ProblemKind::Conflict).map(one).collect()
}

fn unknown_key(facts: &Facts) -> Vec<Finding> {
    let release =
        facts.docker.version.as_ref().map_or_else(|| "dockerd".to_owned(), |v| format!("dockerd {}", v.value));
    let one = |problem: &crate::model::DockerProblem| {
        let mut found = finding("docker-config-unknown-key", format!("{release} does not know `{}`", problem.key))
            .cause("dockerd refuses to start with what it does not know")
            .fix("correct or remove it, so that Docker can start again after a rollback");
        found.origins.clone_from(&problem.at);
        found
    };
    problems(facts, ProblemKind::Unknown).map(one).collect()
}

fn ignored_key(facts: &Facts) -> Vec<Finding> {
    let one = |problem: &crate::model::DockerProblem| {
        let fix = match crate::formats::dockerd::by_name(&problem.key).filter(|option| option.key != problem.key) {
            Some(option) => format!("the key that counts is `{}`", option.key),
            None => "remove it".to_owned(),
        };
        let mut found = finding("docker-config-ignored-key", format!("`{}` has no effect on dockerd", problem.key))
            .cause("dockerd reads over it, so it was never in force and is not carried over")
            .fix(fix);
        found.origins.clone_from(&problem.at);
        found
    };
    problems(facts, ProblemKind::Ignored).map(one).collect()
}

fn stale(facts: &Facts) -> Vec<Finding> {
    let one = |drift: &crate::model::DockerDrift| {
        let named = |text: &str| if text.is_empty() { "nothing".to_owned() } else { format!("`{text}`") };
        let (said, live) = (named(&drift.configured.value), named(&drift.live.value));
        finding(
            "docker-config-stale",
            format!("`{}` is {said} in dockerd's files, but dockerd runs with {live}", drift.key),
        )
        .cause("the files were changed after dockerd started")
        .fix("see which of the two is meant before the migration")
        .at(drift.configured.origin.clone())
        .at(drift.live.origin.clone())
    };
    facts.docker.drift.iter().map(one).collect()
}

fn swarm_active(facts: &Facts) -> Vec<Finding> {
    let Some(swarm) = facts.docker.swarm.as_ref().filter(|_| on_docker(facts)) else { return Vec::new() };
    vec![
        finding("swarm-active", "this node is a member of a Docker swarm")
            .cause(format!("its state in the swarm is `{}`", swarm.value))
            .fix("drain the node in the swarm and let it leave: docker swarm leave")
            .at(swarm.origin.clone()),
    ]
}

/// Parts of a control plane, as their containers and images are named.
const CONTROL_PLANE: [&str; 6] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "hyperkube", "kube-proxy"];

fn control_plane_on_docker(facts: &Facts) -> Vec<Finding> {
    let part = |text: &str| {
        let name = text.rsplit('/').next().unwrap_or_default();
        let name = name.split([':', '@']).next().unwrap_or_default();
        CONTROL_PLANE.iter().any(|part| {
            name == *part
                || name.strip_prefix(part).is_some_and(|rest| rest.starts_with(['-', '_', '.', '1', '2', '3']))
        })
    };
    let found: Vec<String> = facts
        .docker
        .containers
        .iter()
        .filter(|container| !container.kubernetes && container.state == "running")
        .filter(|container| part(&container.name) || part(&container.image))
        .map(|container| format!("{} ({})", container.name, container.image))
        .collect();
    if found.is_empty() || !on_docker(facts) {
        return Vec::new();
    }
    vec![
        finding("control-plane-on-docker", "a part of the control plane runs as a plain Docker container")
            .cause(found.join(", "))
            .fix("make it a static pod or a systemd service first, one node at a time"),
    ]
}

fn own_containerd(facts: &Facts) -> Vec<Finding> {
    let Some(managed) = facts.docker.managed_containerd.as_ref().filter(|own| own.value && on_docker(facts)) else {
        return Vec::new();
    };
    let address = facts.docker.containerd_address.as_ref();
    vec![
        finding("docker-own-containerd", "dockerd runs a containerd of its own")
            .cause(address.map_or_else(
                || "no system containerd is there for it to use".to_owned(),
                |address| format!("it uses {}", address.value),
            ))
            .fix("kubelet is given containerd.service; Docker's own ends with Docker")
            .at(managed.origin.clone()),
    ]
}

fn image_store(facts: &Facts) -> Vec<Finding> {
    let Some(store) = facts.docker.image_store.as_ref().filter(|store| store.value && on_docker(facts)) else {
        return Vec::new();
    };
    vec![
        finding("containerd-image-store", "Docker keeps its images in containerd's store already")
            .cause("they are in the namespace `moby`, and kubelet's are in `k8s.io`")
            .fix("nothing: they are carried over like any other")
            .at(store.origin.clone()),
    ]
}

fn storage_driver(facts: &Facts) -> Vec<Finding> {
    let Some(driver) = facts.docker.storage_driver.as_ref().filter(|_| on_docker(facts)) else { return Vec::new() };
    if matches!(driver.value.as_str(), "overlay2" | "overlay" | "overlayfs" | "vfs") {
        return Vec::new();
    }
    vec![
        finding("storage-without-snapshotter", format!("Docker's storage driver is {}", driver.value))
            .cause("containerd has no snapshotter of that name that works without preparation")
            .fix("see that overlayfs works below containerd's root, or set another snapshotter up first")
            .at(driver.origin.clone()),
    ]
}

fn log_driver(facts: &Facts) -> Vec<Finding> {
    let Some(driver) = facts.docker.setting("log-driver").filter(|_| on_docker(facts)) else { return Vec::new() };
    let name = driver.value.as_str().unwrap_or_default();
    if matches!(name, "" | "json-file" | "local" | "none") {
        return Vec::new();
    }
    vec![
        finding("log-driver-lost", format!("Docker's log driver {name} has no equivalent"))
            .cause("containerd writes files below /var/log/pods and nothing else")
            .fix("run a log agent that reads them")
            .at(driver.origin.clone()),
    ]
}

fn authorization_plugins(facts: &Facts) -> Vec<Finding> {
    let Some(plugins) = facts.docker.setting("authorization-plugins").filter(|_| on_docker(facts)) else {
        return Vec::new();
    };
    if plugins.value.as_array().is_none_or(Vec::is_empty) {
        return Vec::new();
    }
    vec![
        finding("docker-authorization-plugins", "authorization plugins guarded Docker's API")
            .cause(format!("{} are asked by dockerd; containerd asks nobody", plugins.value))
            .fix("enforce the same with admission policies of the API server")
            .at(plugins.origin.clone()),
    ]
}

fn userns_remap(facts: &Facts) -> Vec<Finding> {
    let Some(remap) = facts.docker.userns_remap.as_ref().filter(|_| on_docker(facts)) else { return Vec::new() };
    let place = facts.docker.remapped_root.as_ref();
    vec![
        finding("userns-remap", "Docker maps root in containers to another user (userns-remap)")
            .cause(place.map_or_else(
                || "containerd maps users per pod, not for the node".to_owned(),
                |root| format!("its data lies below {}; containerd maps users per pod, not for the node", root.value),
            ))
            .fix("set `hostUsers: false` in pods that need it, and check who owns files on host paths")
            .at(remap.origin.clone()),
    ]
}

fn credentials_unread(facts: &Facts) -> Vec<Finding> {
    let unread = facts.docker.credentials.iter().filter(|file| !file.kubelet_reads && !file.registries.is_empty());
    let one = |file: &crate::model::CredentialFile| {
        finding("registry-credentials-unread", format!("kubelet does not read {}", file.path))
            .cause(format!("it has credentials for {}", file.registries.join(", ")))
            .fix("copy it to /var/lib/kubelet/config.json, mode 0600, if pods need those registries")
            .at(file.origin.clone())
    };
    unread.filter(|_| on_docker(facts)).map(one).collect()
}

fn credential_helpers(facts: &Facts) -> Vec<Finding> {
    let one = |file: &crate::model::CredentialFile| {
        let mut named: Vec<String> = file.store.iter().map(|store| format!("credsStore {store}")).collect();
        named.extend(file.helpers.iter().map(|(registry, helper)| format!("{helper} for {registry}")));
        finding("credential-helpers", format!("{} names credential helpers", file.path))
            .cause(format!("{}: neither kubelet nor containerd calls them", named.join(", ")))
            .fix("set up a credential provider plugin of kubelet, or imagePullSecrets")
            .at(file.origin.clone())
    };
    let with = facts.docker.credentials.iter().filter(|file| file.store.is_some() || !file.helpers.is_empty());
    with.filter(|_| on_docker(facts)).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DockerContainer, Origin, RuntimeKind, Sourced};

    fn container(name: &str, image: &str, kubernetes: bool) -> DockerContainer {
        DockerContainer {
            id: name.to_owned(),
            name: name.to_owned(),
            image: image.to_owned(),
            image_id: String::new(),
            state: "running".to_owned(),
            mounts: Vec::new(),
            compose: None,
            kubernetes,
            sandbox: false,
            pod: None,
            namespace: None,
            container: None,
        }
    }

    #[test]
    fn parts_of_a_control_plane_are_told_by_name_and_image() {
        let mut facts = Facts::empty(true);
        facts.kubelet.runtime = Some(Sourced::new(RuntimeKind::Dockershim, Origin::default_of("kubelet")));
        for (name, image, found) in [
            ("etcd", "quay.io/coreos/etcd:v3.5.9", true),
            ("etcd1", "mirror:5000/etcd@sha256:00", true),
            ("store", "registry.k8s.io/etcd:3.5.9-0", true),
            ("kube-apiserver", "rancher/hyperkube:v1.20.4", true),
            ("etcdkeeper", "evildecay/etcdkeeper:latest", false),
            ("web", "nginx", false),
        ] {
            facts.docker.containers = vec![container(name, image, false)];
            assert_eq!(!control_plane_on_docker(&facts).is_empty(), found, "{name} {image}");
            facts.docker.containers = vec![container(name, image, true)];
            assert!(control_plane_on_docker(&facts).is_empty(), "{name} of kubelet");
        }
    }
}
