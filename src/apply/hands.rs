//! What is left to do by hand, as commands that can be pasted, when castoff itself cannot.

use super::tasks::{Act, Task};
use crate::model::{LentLayer, Undo};

/// Where a person works.
#[derive(Debug, Default)]
pub struct Place {
    /// The run's backups, as a path of this machine.
    pub backups: String,
    /// The file tree; empty for the running node. A command for the tree must not hit the machine it lies on.
    pub root: String,
}

impl Place {
    fn path(&self, path: &str) -> String {
        format!("'{}{path}'", self.root)
    }

    fn systemctl(&self, verb: &str, unit: &str) -> String {
        let root = if self.root.is_empty() { String::new() } else { format!("--root='{}' ", self.root) };
        format!("systemctl {root}{verb} {unit}")
    }

    /// A file tree has no systemd that could have read it.
    fn reload(&self) -> Vec<String> {
        if self.root.is_empty() { vec!["systemctl daemon-reload".to_owned()] } else { Vec::new() }
    }
}

/// The commands by which a person does a task.
pub fn commands(task: &Task, place: &Place) -> Vec<String> {
    match &task.act {
        Act::Quiesce(was) => vec![place.systemctl("stop", &was.unit)],
        Act::Reload => place.reload(),
        Act::RemoveStray | Act::Mark => Vec::new(),
        Act::Undo(undo) => of_undo(undo, place),
    }
}

fn of_undo(undo: &Undo, place: &Place) -> Vec<String> {
    match undo {
        Undo::RestoreFile { target, digest, mode, uid, gid, .. } => {
            let (from, to) = (format!("'{}/{}'", place.backups, digest.hex()), place.path(target));
            vec![format!("install -o {uid} -g {gid} -m {mode:04o} {from} {to}")]
        }
        Undo::RemoveFile { target, .. } => vec![format!("rm {}", place.path(target))],
        Undo::RemoveDirs { dirs } => dirs.iter().rev().map(|dir| format!("rmdir {}", place.path(dir))).collect(),
        Undo::RestoreLinks { unit, links, .. } => {
            let unmask = std::iter::once(place.systemctl("unmask", unit));
            unmask.chain(links.iter().map(|l| format!("ln -sfn '{}' {}", l.target, place.path(&l.path)))).collect()
        }
        Undo::RestoreActivity { was, dependents } => {
            let units = std::iter::once(&was.unit).chain(dependents).map(String::as_str).collect::<Vec<_>>();
            vec![place.systemctl("start", &units.join(" "))]
        }
        Undo::Restart { was } => vec![place.systemctl("restart", &was.unit)],
        Undo::Reload => place.reload(),
        Undo::RemovePods { endpoint, .. } => {
            vec![format!("crictl -r {endpoint} rmp -fa    # only pods of this node's kubelet")]
        }
        Undo::StartContainers { containers, .. } => containers.iter().map(|id| format!("docker start {id}")).collect(),
        Undo::ReturnImages { layers, .. } => {
            let back = |layer: &LentLayer| {
                let dir = place.path(&layer.dir);
                format!("[ ! -L {dir} ] || {{ at=$(readlink {dir}) && rm {dir} && mv \"$at\" {dir}; }}")
            };
            let first = "# only while no container of containerd runs on these layers:".to_owned();
            std::iter::once(first).chain(layers.iter().map(back)).collect()
        }
        Undo::Uncordon { node, .. } => vec![format!("kubectl uncordon {node}")],
        Undo::RestoreAnnotation { node, key, value, .. } => {
            let value = value.as_ref().map_or_else(|| format!("{key}-"), |value| format!("{key}='{value}'"));
            vec![format!("kubectl annotate node {node} --overwrite {value}")]
        }
        Undo::RestoreKubeletMap { map, key, value, .. } => {
            let value = value.as_deref().unwrap_or("(not there)");
            vec![format!("kubectl -n kube-system edit configmap {map}    # {key}: {value}")]
        }
        Undo::None { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digest, UnitLink};

    fn lines(undo: Undo, root: &str) -> Vec<String> {
        let place = Place { backups: format!("{root}/var/lib/castoff/runs/r/backups"), root: root.to_owned() };
        commands(&Task { steps: vec![1], act: Act::Undo(undo) }, &place)
    }

    #[test]
    fn hands_get_commands_they_can_paste() {
        let undo = || Undo::RestoreFile {
            path: "/etc/a".into(),
            target: "/etc/a".into(),
            digest: Digest::of(b""),
            ours: Digest::of(b"x"),
            mode: 0o644,
            uid: 0,
            gid: 0,
            xattrs: vec![],
            mtime: (0, 0),
        };
        let line = lines(undo(), "").remove(0);
        assert!(line.starts_with("install -o 0 -g 0 -m 0644 '/var/lib/castoff/runs/r/backups/e3b0c442"), "{line}");
        assert!(line.ends_with(" '/etc/a'"), "{line}");
        assert!(lines(undo(), "/srv/image").remove(0).ends_with(" '/srv/image/etc/a'"));
    }

    #[test]
    fn commands_for_a_file_tree_stay_in_it() {
        let link = UnitLink { path: "/etc/systemd/system/x".into(), target: "/lib/x".into() };
        let undo = Undo::RestoreLinks { unit: "x".into(), links: vec![link], dirs: vec![] };
        let wanted = ["systemctl --root='/srv/image' unmask x", "ln -sfn '/lib/x' '/srv/image/etc/systemd/system/x'"];
        assert_eq!(lines(undo, "/srv/image"), wanted);
        assert_eq!(lines(Undo::Reload, "/srv/image"), [""; 0]);
        assert_eq!(lines(Undo::Reload, ""), ["systemctl daemon-reload"]);
    }
}
