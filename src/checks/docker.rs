//! Findings about Docker: what each means, and how it is found in facts.

use super::{CheckInfo, on_docker};
use crate::model::{Facts, Finding, Severity};

/// The entries of this subject.
pub const CHECKS: &[CheckInfo] = &[
    CheckInfo {
        id: "no-docker",
        severity: Severity::Note,
        summary: "there is no Docker here",
        explanation: "Neither docker.service nor a Docker package was found. A node that is on containerd already needs \
            none; castoff then only keeps containerd's and kubelet's configuration right.",
        run: Some(no_docker),
    },
    CheckInfo {
        id: "docker-only-containers",
        severity: Severity::Block,
        summary: "containers run on Docker that kubelet did not make",
        explanation: "Stopping Docker stops them, and containerd will not run them. Move them into pods, or onto another \
            host, or stop them. With `--skip-check docker-only-containers` they are stopped with Docker, and a rollback \
            starts again those that ran.",
        run: Some(docker_only_containers),
    },
    CheckInfo {
        id: "docker-not-running",
        severity: Severity::Warn,
        summary: "Docker does not run, so its images cannot be brought along",
        explanation: "Images are carried by asking dockerd for them. Start Docker before the migration, or have a registry \
            (or `docker save` archives) ready from which the pods' images can be pulled. On a file tree this is always \
            so: images are pulled at the next boot.",
        run: Some(docker_not_running),
    },
    CheckInfo {
        id: "docker-cgroup-flag",
        severity: Severity::Warn,
        summary: "Docker's cgroup driver is set by a flag that castoff cannot find",
        explanation: "dockerd refuses to start when `exec-opts` is in daemon.json and on its command line, so castoff changes \
            a flag where it stands: in docker.service or its drop-ins, in the environment file it comes from, or in a \
            drop-in over what a package ships. Here the flag is in none of these files: dockerd is started by something \
            else. Set `--exec-opt native.cgroupdriver=systemd` there.",
        run: None,
    },
    CheckInfo {
        id: "live-restore",
        severity: Severity::Note,
        summary: "Docker leaves containers running when it stops (live-restore)",
        explanation: "With live-restore, stopping dockerd alone would leave every pod's containers running beside the new \
            ones, with port clashes and two copies of everything. castoff stops the containers of pods itself, each with \
            its own grace period, before it stops Docker.",
        run: Some(live_restore),
    },
    CheckInfo {
        id: "log-format-changes",
        severity: Severity::Warn,
        summary: "log files change their place and format",
        explanation: "Docker wrote JSON lines below its data root and kubelet linked them into /var/log/pods. containerd \
            writes CRI text lines (`TIME STREAM F MESSAGE`) straight into /var/log/pods. Agents that read \
            /var/lib/docker/containers, or parse JSON, must be told. Rotation is kubelet's from now on \
            (containerLogMaxSize, 10Mi; containerLogMaxFiles, 5).",
        run: Some(log_format_changes),
    },
    CheckInfo {
        id: "images-without-name",
        severity: Severity::Warn,
        summary: "pods use images that have no tag and cannot be carried by name",
        explanation: "Docker knows these images only by id, and they would go through `docker save`. Such an archive has \
            no name in it, so containerd could not find them again. They are left to be pulled; tag them first (`docker tag ID \
            NAME`) if no registry has them. A layer that only its mount understands may send an image that way in the run \
            itself, which says so then.",
        run: None,
    },
    CheckInfo {
        id: "runtime-snapshotter",
        severity: Severity::Warn,
        summary: "runtimes of another snapshotter cannot use carried images",
        explanation: "Docker's layers are like those of containerd's snapshotter overlayfs alone, and what is carried by layers has \
            archives only where Docker kept them. A runtime handler with a `snapshotter` of its own (kata with devmapper, say) \
            unpacks archives, so its pods start only once their images were pulled again. With `carry = \"stream\"` in the \
            profile images come with their archives. Where it is the default snapshotter, or that of the default runtime, castoff \
            does so by itself.",
        run: None,
    },
    CheckInfo {
        id: "docker-unit-not-maskable",
        severity: Severity::Warn,
        summary: "a real unit file of Docker is in the way of masking it",
        explanation: "Masking links the unit's name below /etc/systemd/system to /dev/null; here an administrator's own unit \
            file has that name. It is not castoff's to move: the unit is stopped and disabled but not masked, so `systemctl \
            start docker` would still start it.",
        run: None,
    },
];

pub fn no_docker(facts: &Facts) -> Vec<Finding> {
    if facts.docker.installed {
        return Vec::new();
    }
    vec![
        Finding::new("no-docker", Severity::Note, "there is no Docker here")
            .cause("no docker.service and no Docker package was found"),
    ]
}

pub fn docker_only_containers(facts: &Facts) -> Vec<Finding> {
    let others: Vec<&str> = facts
        .docker
        .containers
        .iter()
        .filter(|container| !container.kubernetes && container.state == "running")
        .map(|container| container.name.as_str())
        .collect();
    if others.is_empty() || !on_docker(facts) {
        return Vec::new();
    }
    let summary = format!("{} containers run on Docker that kubelet did not make", others.len());
    vec![
        Finding::new("docker-only-containers", Severity::Block, summary)
            .cause(others.join(", "))
            .fix("move or stop them; `--skip-check docker-only-containers` stops them with Docker"),
    ]
}

pub fn docker_not_running(facts: &Facts) -> Vec<Finding> {
    if !on_docker(facts) || facts.docker.running {
        return Vec::new();
    }
    let summary = "Docker does not run, so its images cannot be brought along";
    vec![
        Finding::new("docker-not-running", Severity::Warn, summary)
            .cause(if facts.live { "docker.service is not active" } else { "this is a file tree" })
            .fix("have a registry ready from which the images can be pulled"),
    ]
}

pub fn live_restore(facts: &Facts) -> Vec<Finding> {
    let Some(on) = facts.docker.live_restore.as_ref().filter(|on| on.value) else { return Vec::new() };
    let summary = "Docker leaves containers running when it stops (live-restore)";
    vec![
        Finding::new("live-restore", Severity::Note, summary)
            .fix("the plan stops the containers of pods before it stops Docker")
            .at(on.origin.clone()),
    ]
}

pub fn log_format_changes(facts: &Facts) -> Vec<Finding> {
    if !on_docker(facts) {
        return Vec::new();
    }
    vec![
        Finding::new("log-format-changes", Severity::Warn, "log files change their place and format")
            .cause("containerd writes CRI text lines below /var/log/pods, Docker wrote JSON below its data root")
            .fix("tell log agents that read /var/lib/docker/containers or parse JSON"),
    ]
}
