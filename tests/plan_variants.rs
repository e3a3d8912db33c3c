//! Fixture nodes with something changed in them: what their plans say then.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it works on temporary folders, not on a node")]

mod common;

use castoff::{
    host::{FakeClock, Faults},
    model::{Action, Plan, Severity},
};
use common::{fixture, tree, world::tree_host};
use std::{fs, path::Path};

const CONFIG: &str = "/etc/containerd/config.toml";

/// The plan of a fixture whose tree `change` has changed.
fn variant(name: &str, change: impl Fn(&Path)) -> Plan {
    let (fixture, dir) = (fixture::named(name), tree::scratch());
    fixture.lay_out("in", dir.path());
    change(dir.path());
    let host = tree_host(dir.path(), &Faults::none(), FakeClock::new());
    fixture::plan_for(&host, &fixture.assumptions(), &fixture.desired())
}

fn text(root: &Path, path: &str) -> String {
    fs::read_to_string(tree::at(root, path)).unwrap()
}

/// Replaces what stands in a file.
fn edit(root: &Path, path: &str, from: &str, to: &str) {
    let before = text(root, path);
    assert!(before.contains(from), "{path} has no {from:?}:\n{before}");
    tree::put(root, path, before.replace(from, to));
}

fn plugins(root: &Path, dir: &str, names: &[&str]) {
    for name in names {
        tree::put(root, &format!("{dir}/{name}"), "");
    }
}

/// What the plan makes of a file.
fn written<'p>(plan: &'p Plan, file: &str) -> Option<&'p str> {
    plan.steps.iter().rev().find_map(|step| match &step.action {
        Action::WriteFile { path, content, .. } if path == file => content.as_deref(),
        _ => None,
    })
}

fn found(plan: &Plan, id: &str) -> Vec<(Severity, String)> {
    plan.findings.iter().filter(|finding| finding.id == id).map(|f| (f.severity, f.cause.clone())).collect()
}

fn blocking(plan: &Plan) -> Vec<&str> {
    plan.blocking().map(|finding| finding.id.as_str()).collect()
}

/// One file has one text, by whatever names containerd reads it.
#[test]
fn a_file_that_is_imported_by_two_names_is_planned_once() {
    for (link, target) in [("98-again.toml", "99-nvidia.toml"), ("00-main.toml", "../config.toml")] {
        let plan = variant("nvidia-conf-d-2.1", |root| {
            edit(root, CONFIG, "SystemdCgroup = true", "SystemdCgroup = false");
            tree::put_link(root, &format!("/etc/containerd/conf.d/{link}"), target);
        });
        assert_eq!(blocking(&plan), Vec::<&str>::new(), "{link}");
        let steps = plan.steps.iter().filter_map(|step| match &step.action {
            Action::WriteFile { path, .. } if path.starts_with("/etc/containerd/") => Some(path.rsplit('/').next()),
            _ => None,
        });
        let names: Vec<_> = steps.flatten().filter(|name| *name == link || target.ends_with(name)).collect();
        assert_eq!(names.len(), 1, "{link}: {names:?}");
    }
}

#[test]
fn a_flag_of_kubelets_does_not_change_the_sandbox_of_containerd() {
    let image = "sandbox_image = \"harbor.corp.example/infra/pause:3.9\"";
    let plan = variant("already-containerd-1.29", |root| {
        let config = text(root, CONFIG);
        let line = config.lines().find(|line| line.trim().starts_with("sandbox_image")).map(str::to_owned);
        edit(root, CONFIG, line.unwrap().trim(), image);
    });
    assert!(written(&plan, CONFIG).is_none_or(|text| text.contains(image)), "{:?}", written(&plan, CONFIG));
}

#[test]
fn containerd_gets_the_one_directory_that_has_all_plugins() {
    let all = ["bridge", "host-local", "loopback", "portmap", "flannel"];
    let plan = variant("debian-data-disk", |root| {
        fs::remove_file(tree::at(root, "/usr/lib/cni/flannel")).unwrap();
        plugins(root, "/opt/cni/bin", &all);
    });
    assert!(written(&plan, CONFIG).unwrap().contains("bin_dir = \"/opt/cni/bin\""));
    assert_eq!(found(&plan, "cni-plugin-missing"), []);
    let plan = variant("debian-data-disk", |root| {
        fs::remove_file(tree::at(root, "/usr/lib/cni/flannel")).unwrap();
        plugins(root, "/opt/cni/bin", &["flannel"]);
    });
    let missing = found(&plan, "cni-plugin-missing");
    assert!(missing[0].1.ends_with("containerd will look for them in /usr/lib/cni"), "{missing:?}");
}

#[test]
fn directories_that_cri_dockerd_was_told_are_told_containerd() {
    let unit = "/usr/lib/systemd/system/cri-docker.service";
    let moved = |root: &Path| {
        let flags = " --cni-bin-dir=/srv/a,/srv/cni --cni-conf-dir=/etc/corp/net.d";
        edit(root, unit, " --container-runtime-endpoint fd://", &format!(" --container-runtime-endpoint fd://{flags}"));
        plugins(root, "/srv/cni", &["bridge", "host-local", "loopback", "portmap", "flannel"]);
        plugins(root, "/srv/a", &["bridge"]);
        let conf = text(root, "/etc/cni/net.d/10-flannel.conflist");
        fs::remove_file(tree::at(root, "/etc/cni/net.d/10-flannel.conflist")).unwrap();
        tree::put(root, "/etc/corp/net.d/10-flannel.conflist", conf);
    };
    let plan = variant("rhel-cri-dockerd-1.24", moved);
    assert_eq!(blocking(&plan), [""; 0]);
    let config = written(&plan, CONFIG).unwrap();
    assert!(config.contains("bin_dir = \"/srv/cni\"") && config.contains("conf_dir = \"/etc/corp/net.d\""), "{config}");
    let none = variant("rhel-cri-dockerd-1.24", |root| {
        moved(root);
        fs::remove_file(tree::at(root, "/etc/corp/net.d/10-flannel.conflist")).unwrap();
    });
    let cause = "the node uses CNI, but no configuration was found in /etc/corp/net.d or /etc/cni/net.d";
    assert_eq!(found(&none, "no-cni"), [(Severity::Block, cause.to_owned())]);
}

/// kubespray calls the unit cri-dockerd.
#[test]
fn cri_dockerd_is_known_by_either_name() {
    let dir = "/usr/lib/systemd/system";
    let plan = variant("rhel-cri-dockerd-1.24", |root| {
        let enabled = [("service", "multi-user"), ("socket", "sockets")];
        for (kind, target) in enabled {
            let (old, new) = (format!("{dir}/cri-docker.{kind}"), format!("{dir}/cri-dockerd.{kind}"));
            tree::put(root, &new, text(root, &old).replace("cri-docker.", "cri-dockerd."));
            fs::remove_file(tree::at(root, &old)).unwrap();
            let wants = format!("/etc/systemd/system/{target}.target.wants");
            fs::remove_file(tree::at(root, &format!("{wants}/cri-docker.{kind}"))).unwrap();
            tree::put_link(root, &format!("{wants}/cri-dockerd.{kind}"), &new);
        }
        let flags = "--pod-infra-container-image=corp.example/pause:3 --cni-bin-dir=/srv/cni";
        edit(root, &format!("{dir}/cri-dockerd.service"), "fd://", &format!("fd:// {flags}"));
        plugins(root, "/srv/cni", &["bridge", "host-local", "loopback", "portmap", "flannel"]);
        edit(
            root,
            "/var/lib/kubelet/kubeadm-flags.env",
            "--container-runtime=remote",
            "--container-runtime=remote --runtime-cgroups=/system.slice/cri-dockerd.service",
        );
        let needs = "[Unit]\nRequires=cri-dockerd.service\nAfter=cri-dockerd.service\n";
        tree::put(root, "/etc/systemd/system/kubelet.service.d/30-shim.conf", needs);
    });
    assert_eq!(blocking(&plan), [""; 0]);
    let config = written(&plan, CONFIG).unwrap();
    assert!(config.contains("corp.example/pause:3") && config.contains("bin_dir = \"/srv/cni\""), "{config}");
    let needs = written(&plan, "/etc/systemd/system/kubelet.service.d/30-shim.conf").unwrap();
    assert_eq!(needs, "[Unit]\nRequires=containerd.service\nAfter=containerd.service\n");
    let flags = written(&plan, "/var/lib/kubelet/kubeadm-flags.env").unwrap();
    assert!(flags.contains("--runtime-cgroups=/system.slice/containerd.service"), "{flags}");
    let of_shim: Vec<(&str, String)> = plan
        .steps
        .iter()
        .filter(|step| step.action.object().starts_with("cri-dockerd."))
        .map(|step| (step.id.as_str(), step.action.object()))
        .collect();
    let wanted = [
        ("disable-cri-docker", "cri-dockerd.service"),
        ("mask-cri-docker", "cri-dockerd.service"),
        ("disable-cri-docker-socket", "cri-dockerd.socket"),
        ("mask-cri-docker-socket", "cri-dockerd.socket"),
    ];
    assert_eq!(of_shim, wanted.map(|(id, unit)| (id, unit.to_owned())));
}

#[test]
fn a_leftover_of_containerds_does_not_hide_dockers_network() {
    let plan = variant("debian-data-disk", |root| {
        edit(root, CONFIG, "conf_dir = \"/etc/cni/net.d\"", "conf_dir = \"/etc/cni/old.d\"");
        tree::put(root, "/etc/cni/old.d/10-x.conf", "{\"name\":\"x\",\"type\":\"bridge\"}");
    });
    assert!(written(&plan, CONFIG).unwrap().contains("conf_dir = \"/etc/cni/net.d\""));
    let prepared = variant("debian-data-disk", |root| {
        edit(root, CONFIG, "conf_dir = \"/etc/cni/net.d\"", "conf_dir = \"/etc/cni/new.d\"");
        fs::rename(tree::at(root, "/etc/cni/net.d"), tree::at(root, "/etc/cni/new.d")).unwrap();
    });
    assert!(written(&prepared, CONFIG).unwrap().contains("conf_dir = \"/etc/cni/new.d\""));
    assert_eq!(blocking(&prepared), [""; 0]);
}

#[test]
fn what_is_around_kubelet_may_need_docker() {
    let drop_in = "/etc/systemd/system/kubelet.service.d/20-site.conf";
    for (lines, severity) in [
        ("[Service]\nExecStartPre=/usr/bin/docker info\n", Some(Severity::Block)),
        ("[Service]\nExecStartPre=-/usr/bin/docker info\n", Some(Severity::Warn)),
        (
            "[Service]\nExecStartPre=/bin/sh -c 'until systemctl is-active docker; do sleep 1; done'\n",
            Some(Severity::Block),
        ),
        ("[Service]\nExecStartPre=/usr/local/bin/wait.sh\n", Some(Severity::Block)),
        // An exit code that does not count is none of a loop that does not end.
        ("[Service]\nExecStartPre=-/bin/sh -c 'until docker info; do sleep 1; done'\n", Some(Severity::Block)),
        ("[Service]\nExecStartPre=-/usr/local/bin/wait.sh\n", Some(Severity::Block)),
        ("[Service]\nExecStartPre=/bin/sh -c '/usr/local/bin/wait.sh || true'\n", Some(Severity::Block)),
        (
            "[Service]\nExecStartPre=-/usr/bin/timeout 60 /bin/sh -c 'until docker info; do sleep 1; done'\n",
            Some(Severity::Warn),
        ),
        (
            "[Service]\nExecStartPre=/bin/sh -c 'docker ps -aq | while read c; do docker rm -f $$c; done'\n",
            Some(Severity::Warn),
        ),
        ("[Service]\nExecStartPre=/usr/bin/timeout 60 /usr/local/bin/wait.sh\n", Some(Severity::Block)),
        ("[Service]\nExecStartPre=-/usr/bin/timeout 60 /usr/local/bin/wait.sh\n", Some(Severity::Warn)),
        ("[Service]\nExecStartPre=-/usr/local/bin/count.sh\n", Some(Severity::Warn)),
        ("[Service]\nExecStartPre=-/usr/local/bin/strict.sh\n", Some(Severity::Warn)),
        ("[Service]\nExecStartPre=/usr/local/bin/tidy.sh\n", Some(Severity::Warn)),
        ("[Service]\nExecStartPre=/usr/local/bin/strict.sh\n", Some(Severity::Block)),
        ("[Service]\nExecStartPre=/bin/sh -c \"docker rm -f kubelet; exit 0\"\n", Some(Severity::Warn)),
        (
            "[Service]\nExecStartPre=/bin/sh -c \"systemctl is-active docker || systemctl is-active containerd\"\n",
            Some(Severity::Warn),
        ),
        ("[Service]\nExecStartPre=/usr/bin/test ! -S /var/run/docker.sock\n", Some(Severity::Warn)),
        ("[Service]\nExecStartPre=/usr/bin/test -S /var/run/docker.sock\n", Some(Severity::Block)),
        ("[Service]\nExecStartPre=/bin/sh -c \"/usr/bin/docker info ||true\"\n", Some(Severity::Warn)),
        ("[Service]\nExecStartPre=/usr/bin/docker info\nExecStartPre=\n", None),
        ("[Unit]\nAssertPathExists=/var/run/docker.sock\n", Some(Severity::Block)),
        ("[Unit]\nConditionPathExists=!/var/run/docker.sock\n", Some(Severity::Warn)),
        ("[Unit]\nConditionFileIsExecutable=/usr/bin/docker\n", Some(Severity::Warn)),
        ("[Unit]\nConditionPathExists=/run/docker.sock\nConditionPathExists=\n", None),
        ("[Service]\nExecStartPre=/bin/mkdir -p /etc/docker\n", None),
    ] {
        let plan = variant("ubuntu-kubeadm-1.23", |root| {
            tree::put(root, drop_in, lines);
            tree::put(root, "/usr/local/bin/wait.sh", "#!/bin/sh\nuntil docker info; do sleep 1; done\n");
            tree::put(
                root,
                "/usr/local/bin/tidy.sh",
                "#!/bin/sh\ncommand -v docker && docker image prune -f || true\n",
            );
            tree::put(
                root,
                "/usr/local/bin/count.sh",
                "#!/bin/sh\nuntil docker info; do\n  n=$((n + 1))\n  [ $n -gt 30 ] && break\n  sleep 1\ndone\n",
            );
            tree::put(root, "/usr/local/bin/strict.sh", "#!/bin/bash\nset -eu\ndocker info\n");
        });
        let found: Vec<Severity> = found(&plan, "kubelet-requires-docker").into_iter().map(|(s, _)| s).collect();
        assert_eq!(found, severity.into_iter().collect::<Vec<_>>(), "{lines}");
    }
}

#[test]
fn environment_files_named_after_the_unit_are_read() {
    let drop_in = "/etc/systemd/system/kubelet.service.d/20-site.conf";
    let plan = variant("ubuntu-kubeadm-1.23", |root| {
        tree::put(root, drop_in, "[Service]\nEnvironmentFile=-/etc/default/%p-site\nEnvironmentFile=-/etc/%H.env\n");
        tree::put(root, "/etc/default/kubelet-site", "KUBELET_EXTRA_ARGS=--cgroup-driver=cgroupfs\n");
    });
    let site = written(&plan, "/etc/default/kubelet-site");
    assert!(site.is_some_and(|text| !text.contains("cgroupfs")), "{site:?}");
    assert!(found(&plan, "not-everything-seen")[0].1.contains("/etc/%H.env"));
}

#[test]
fn dockers_endpoint_for_images_goes_wherever_the_other_one_stands() {
    let config = "/var/lib/kubelet/config.yaml";
    let images = "imageServiceEndpoint: unix:///run/cri-dockerd.sock\n";
    let plan = |more: &str| {
        variant("ubuntu-noble-1.30", |root| {
            let before = text(root, config);
            tree::put(root, config, format!("{before}{more}"));
        })
    };
    for more in [images.to_owned(), format!("{images}containerRuntimeEndpoint: unix:///run/cri-dockerd.sock\n")] {
        let plan = plan(&more);
        assert_eq!(blocking(&plan), [""; 0]);
        let after = written(&plan, config).unwrap();
        assert!(!after.contains("imageServiceEndpoint") && !after.contains("cri-dockerd"), "{after}");
    }
    assert_eq!(written(&plan("imageServiceEndpoint: unix:///run/other.sock\n"), config), None, "not Docker's");
}

#[test]
fn containerd_starts_at_boot_whatever_its_unit_is_like() {
    let unit = "/usr/lib/systemd/system/containerd.service";
    let kubelet = "/etc/systemd/system/kubelet.service.d/zz-castoff.conf";
    let node = |change: &dyn Fn(&Path)| {
        variant("debian-data-disk", |root| {
            let wants = "/etc/systemd/system/multi-user.target.wants/containerd.service";
            fs::remove_file(tree::at(root, wants)).unwrap();
            change(root);
        })
    };
    let enables = |plan: &Plan| plan.steps.iter().any(|step| step.id == "enable-containerd");
    let linked = |root: &Path| {
        tree::put(root, "/opt/containerd/containerd.service", text(root, unit));
        fs::remove_file(tree::at(root, unit)).unwrap();
        tree::put_link(root, "/etc/systemd/system/containerd.service", "/opt/containerd/containerd.service");
    };
    let plan = node(&linked);
    assert!(enables(&plan) && written(&plan, kubelet).is_none(), "linked");
    let bare = |root: &Path| edit(root, unit, "[Install]\nWantedBy=multi-user.target\n", "");
    let both = |root: &Path| {
        bare(root);
        linked(root);
    };
    for (how, plan) in [("static", node(&bare)), ("linked and static", node(&both))] {
        assert_eq!(blocking(&plan), [""; 0], "{how}");
        let behind = written(&plan, kubelet).unwrap_or_default();
        assert!(!enables(&plan) && behind.contains("Wants=containerd.service"), "{how}: {behind}");
    }
    let plan = node(&|root| tree::put_link(root, "/etc/systemd/system/containerd.service", "/dev/null"));
    assert_eq!(blocking(&plan), ["containerd-masked"]);
}

/// kubespray's docker-options.conf, and one that castoff cannot edit.
#[test]
fn a_docker_that_retires_stands_in_nobodys_way() {
    let options = "/etc/systemd/system/docker.service.d/docker-options.conf";
    let kubespray =
        "[Service]\nEnvironment=\"DOCKER_OPTS= --iptables=false \\\n--exec-opt native.cgroupdriver=cgroupfs\"\n";
    let exec = "ExecStart=\nExecStart=/usr/bin/dockerd -H fd:// $DOCKER_OPTS\n";
    let without =
        |root: &Path| edit(root, "/etc/docker/daemon.json", ",\"exec-opts\":[\"native.cgroupdriver=cgroupfs\"]", "");
    let plan = variant("ubuntu-kubeadm-1.23", |root| {
        without(root);
        tree::put(root, options, format!("{kubespray}{exec}"));
    });
    assert_eq!(blocking(&plan), [""; 0]);
    let after = written(&plan, options).unwrap();
    let wanted = "Environment=\"DOCKER_OPTS= --iptables=false  --exec-opt native.cgroupdriver=systemd\"\n";
    assert_eq!(after, format!("[Service]\n{wanted}{exec}"));

    let plan = variant("ubuntu-kubeadm-1.23", |root| {
        edit(root, "/etc/docker/daemon.json", "[\"native.cgroupdriver=cgroupfs\"]", "\"native.cgroupdriver=cgroupfs\"");
    });
    assert_eq!(found(&plan, "config-not-editable")[0].0, Severity::Warn);
    let verdict = plan.verdicts.iter().find(|verdict| verdict.setting == "exec-opts").unwrap();
    assert!(verdict.note.ends_with("Docker, which retires, keeps its own"), "{verdict:?}");
}

#[test]
fn both_managers_states_are_read() {
    let plan = variant("ubuntu-noble-1.30", |root| {
        let config = "/var/lib/kubelet/config.yaml";
        let before = text(root, config);
        tree::put(root, config, format!("{before}cpuManagerPolicy: static\nmemoryManagerPolicy: Static\n"));
        tree::put(root, "/var/lib/kubelet/cpu_manager_state", "{\"policyName\":\"none\"}");
        tree::put(root, "/var/lib/kubelet/memory_manager_state", "{\"policyName\":\"None\",\"checksum\":1}");
    });
    assert_eq!(blocking(&plan), ["cpu-manager-state-mismatch", "memory-manager-state-mismatch"]);
}

/// A mirror that Docker has, so that the plan writes `config_path`.
fn with_mirror(root: &Path) {
    let path = "/etc/docker/daemon.json";
    let mut daemon: serde_json::Value = serde_json::from_str(&text(root, path)).unwrap();
    daemon["registry-mirrors"] = serde_json::json!(["https://mirror.example"]);
    tree::put(root, path, daemon.to_string());
}

#[test]
fn registry_tables_of_imported_files_count() {
    let drop_in = "/etc/containerd/conf.d/99-nvidia.toml";
    let table = "[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]\nendpoint = [\"https://m\"]\n";
    let plan = variant("imports-replace-1.7", |root| {
        with_mirror(root);
        let before = text(root, drop_in);
        tree::put(root, drop_in, format!("{before}\n{table}"));
    });
    assert_eq!(blocking(&plan), [""; 0]);
    let after = written(&plan, drop_in).unwrap();
    assert!(after.contains("config_path") && !after.contains("mirrors"), "{after}");
    let hosts = written(&plan, "/etc/containerd/certs.d/docker.io/hosts.toml").unwrap();
    assert!(hosts.contains("https://mirror.example") && hosts.contains("https://m\""), "{hosts}");

    let registry = "/etc/containerd/conf.d/10-registry.toml";
    let images = "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry";
    let plan = variant("nvidia-conf-d-2.1", |root| {
        with_mirror(root);
        tree::put(root, registry, format!("{images}.mirrors.'docker.io']\nendpoint = ['https://m']\n"));
    });
    assert_eq!(blocking(&plan), [""; 0]);
    assert!(!written(&plan, registry).unwrap().contains("mirrors"));

    let plan = variant("nvidia-conf-d-2.1", |root| {
        with_mirror(root);
        tree::put(root, registry, format!("{images}]\nconfig_path = '/etc/containerd/hosts.d'\n"));
        let harbor = "[host.'https://harbor.corp.example']\nca = '/etc/ssl/corp.pem'\n";
        tree::put(root, "/etc/containerd/hosts.d/harbor.corp.example/hosts.toml", harbor);
    });
    assert_eq!(blocking(&plan), [""; 0]);
    assert_eq!(written(&plan, registry), None);
    assert!(written(&plan, "/etc/containerd/hosts.d/docker.io/hosts.toml").is_some());
    assert!(written(&plan, CONFIG).is_some_and(|text| text.contains("/etc/containerd/hosts.d")));
}

#[test]
fn from_2_2_on_the_directory_of_hosts_is_named() {
    let hosts = |root: &Path| {
        tree::put(root, "/etc/containerd/certs.d/r.example/hosts.toml", "[host.'https://r.example']\n");
    };
    let plan = variant("no-config-2.2", hosts);
    assert!(written(&plan, CONFIG).unwrap().contains("config_path = \"/etc/containerd/certs.d\""));
    assert_eq!(found(&plan, "registry-config-path-list").len(), 1);
    assert_eq!(found(&variant("no-config-2.2", |_| ()), "registry-config-path-list"), []);
}

#[test]
fn a_hosts_toml_that_2_x_ignores_for_its_mark_is_told_and_loses_it() {
    const HOSTS: &str = "/etc/containerd/certs.d/docker.io/hosts.toml";
    let admins = "[host.'https://mirror.example']\ncapabilities = ['pull']\n";
    let node = |name| {
        variant(name, |root| {
            with_mirror(root);
            tree::put(root, HOSTS, format!("\u{feff}{admins}"));
        })
    };
    let plan = node("nvidia-conf-d-2.1");
    assert!(found(&plan, "registry-hosts-toml-ignored")[0].1.contains("byte order mark"));
    assert_eq!((blocking(&plan), written(&plan, HOSTS)), (Vec::new(), Some(admins)));
    assert_eq!(found(&node("imports-replace-1.7"), "registry-hosts-toml-ignored"), []);
}

/// kubelet takes a manifest's first document, the last of equal keys, and nothing for what is left empty.
#[test]
fn what_blocks_is_found_in_every_manifest_that_kubelet_reads() {
    const BUILDER: &str = "/etc/kubernetes/manifests/builder.yaml";
    let changes: [fn(String) -> String; 3] = [
        |text| format!("{text}---\n"),
        |text| text.replace("spec:\n", "spec:\n  initContainers:\n"),
        |text| text.replace("kind: Pod\n", "kind: Pod\nkind: Pod\n"),
    ];
    for change in changes {
        let plan = variant("docker-users-1.23", |root| tree::put(root, BUILDER, change(text(root, BUILDER))));
        assert_eq!(blocking(&plan), ["pods-mount-docker-socket"]);
    }
    let plan = variant("docker-users-1.23", |root| edit(root, BUILDER, "spec:\n", "spec: [\n"));
    assert_eq!(blocking(&plan), ["static-pod-unreadable"]);
}

#[test]
fn what_a_daemon_reads_nevertheless_does_not_block() {
    const NODE: &str = "bookworm-dockershim-1.20";
    const KUBELET: &str = "/var/lib/kubelet/config.yaml";
    const CRICTL: &str = "/etc/crictl.yaml";
    const DAEMON: &str = "/etc/docker/daemon.json";
    for end in ["---\n", "---\ncgroupDriver: x\n", "maxPods: 1\nmaxPods: 2\n"] {
        let plan = variant(NODE, |root| tree::put(root, KUBELET, format!("{}{end}", text(root, KUBELET))));
        assert_eq!(blocking(&plan), [""; 0], "{end}");
        let after = written(&plan, KUBELET).unwrap();
        assert!(after.contains(end) && after.contains("cgroupDriver: systemd"), "{after}");
    }
    let socket = "unix:///run/containerd/containerd.sock";
    let right = format!("runtime-endpoint: {socket}\nimage-endpoint: {socket}\n---\n");
    let plan = variant(NODE, |root| tree::put(root, CRICTL, &right));
    assert_eq!((blocking(&plan), written(&plan, CRICTL)), (Vec::new(), None));
    let plan = variant(NODE, |root| tree::put(root, CRICTL, "runtime-endpoint: [\n"));
    assert_eq!((blocking(&plan), written(&plan, CRICTL)), (Vec::new(), None));
    assert_eq!(found(&plan, "config-not-editable")[0].0, Severity::Warn);
    // dockerd joins objects that stand there twice, so this one is for a person.
    let plan = variant(NODE, |root| {
        tree::put(root, DAEMON, text(root, DAEMON).replacen('{', "{\"debug\": true, \"debug\": true, ", 1));
    });
    let finding = plan.blocking().find(|finding| finding.id == "file-unreadable").unwrap();
    assert!(finding.fix.contains("dockerd reads the last"), "{finding:#?}");
}

#[test]
fn certificates_in_the_default_list_of_2_2_are_copied() {
    let unset = |root: &Path| {
        let line = "    config_path = '/etc/containerd/certs.d:/etc/docker/certs.d:/opt/site/certs.d' # as 2.2 prints it, and ours\n";
        edit(root, CONFIG, line, "");
    };
    let plan = variant("resolute-path-list-1.34", unset);
    let copied = written(&plan, "/etc/containerd/certs.d/private.example:5000/hosts.toml");
    assert!(copied.is_some_and(|text| text.contains("/etc/docker/certs.d/private.example:5000/ca.crt")), "{copied:?}");
    assert!(written(&plan, CONFIG).unwrap().contains("config_path = \"/etc/containerd/certs.d\""));
    // CRI pulls itself, and reads lists.
    for list in [true, false] {
        let local = variant("resolute-path-list-1.34", |root| {
            if !list {
                unset(root);
            }
            let table = "[plugins.'io.containerd.cri.v1.images']\n";
            edit(root, CONFIG, table, &format!("{table}  use_local_image_pull = true\n"));
        });
        assert_eq!(found(&local, "registry-config-path-list"), [], "{list}");
        assert_eq!(written(&local, CONFIG), None, "{list}");
    }
}
