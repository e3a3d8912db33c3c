//! What taking back consists of, and in which order. Pure, so that it can be fuzzed.
//!
//! Not simply backwards: what we started stops first, then files and links come back, systemd reads them, and only
//! then do the old units start, so that they start with their old files.

use crate::model::{Record, Undo, UnitSnapshot};

/// One thing to take back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The steps it takes back; empty when it only prepares.
    pub steps: Vec<usize>,
    /// What is done.
    pub act: Act,
}

/// What taking back consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Stops a unit if it runs and is not the very process that ran before.
    Quiesce(UnitSnapshot),
    /// One recorded undo.
    Undo(Undo),
    /// Pods that kubelet made on the new runtime unasked are removed.
    RemoveStray,
    /// systemd reads its files.
    Reload,
    /// Nothing to do; the step is only marked.
    Mark,
}

/// Works out the order in which open steps are taken back.
pub fn tasks(open: &[(usize, String, Undo)]) -> Vec<Task> {
    let mut tasks = Vec::new();
    let backwards = || open.iter().rev();
    // What runs now and did not run before, in the order of the plan: kubelet before what it needs.
    for (index, _, undo) in open {
        if let Undo::RestoreActivity { was, .. } = undo {
            // For a unit that was not active, being stopped is all there is to restore.
            let steps = if is_active(was) { Vec::new() } else { vec![*index] };
            tasks.push(Task { steps, act: Act::Quiesce(was.clone()) });
        }
    }
    if open.iter().any(|(_, _, undo)| matches!(undo, Undo::RemovePods { .. })) {
        push(&mut tasks, backwards(), |undo| matches!(undo, Undo::RemovePods { .. }));
    } else if open.iter().any(|(_, _, undo)| is_file(undo)) {
        tasks.push(Task { steps: Vec::new(), act: Act::RemoveStray });
    }
    // While the containerd that knows of them still runs, and before Docker needs its layers.
    push(&mut tasks, backwards(), |undo| matches!(undo, Undo::ReturnImages { .. }));
    push(&mut tasks, backwards(), is_file);
    let reloads: Vec<usize> =
        backwards().filter(|(_, _, undo)| matches!(undo, Undo::Reload)).map(|(index, ..)| *index).collect();
    if !reloads.is_empty() || open.iter().any(|(_, _, undo)| touches_units(undo)) {
        tasks.push(Task { steps: reloads, act: Act::Reload });
    }
    push(&mut tasks, backwards(), |undo| match undo {
        Undo::RestoreActivity { was, .. } => is_active(was),
        Undo::Restart { .. } | Undo::StartContainers { .. } => true,
        _ => false,
    });
    // Last of all: the node is as it was by then, whether or not its cluster answers. (Where it answers before anything stops, its
    // notes of the node come back then: `cluster::undo_ahead`.)
    push(&mut tasks, backwards(), |undo| {
        matches!(undo, Undo::Uncordon { .. } | Undo::RestoreAnnotation { .. } | Undo::RestoreKubeletMap { .. })
    });
    for (index, _, undo) in backwards() {
        if matches!(undo, Undo::None { .. }) {
            tasks.push(Task { steps: vec![*index], act: Act::Mark });
        }
    }
    tasks
}

fn push<'a>(
    tasks: &mut Vec<Task>,
    open: impl Iterator<Item = &'a (usize, String, Undo)>,
    wanted: impl Fn(&Undo) -> bool,
) {
    tasks.extend(
        open.filter(|(_, _, undo)| wanted(undo))
            .map(|(index, _, undo)| Task { steps: vec![*index], act: Act::Undo(undo.clone()) }),
    );
}

const fn is_file(undo: &Undo) -> bool {
    matches!(
        undo,
        Undo::RestoreFile { .. } | Undo::RemoveFile { .. } | Undo::RemoveDirs { .. } | Undo::RestoreLinks { .. }
    )
}

fn touches_units(undo: &Undo) -> bool {
    match undo {
        Undo::RestoreLinks { .. } => true,
        Undo::RestoreFile { path, .. } | Undo::RemoveFile { path, .. } => path.contains("/systemd/system/"),
        _ => false,
    }
}

pub fn is_active(was: &UnitSnapshot) -> bool {
    matches!(was.active.as_str(), "active" | "activating" | "reloading")
}

impl Task {
    /// True for files and links, which need no systemd to be put back.
    pub const fn is_file(&self) -> bool {
        matches!(&self.act, Act::Undo(undo) if is_file(undo))
    }

    /// False when there is nothing to do but to mark steps.
    pub fn acts(&self, live: bool) -> bool {
        match &self.act {
            Act::Mark => false,
            // A file tree has no systemd to tell and no pods to look for.
            Act::Reload | Act::RemoveStray => live,
            Act::Undo(Undo::StartContainers { containers, .. }) => !containers.is_empty(),
            _ => true,
        }
    }

    /// What it does, for people.
    pub fn describe(&self) -> String {
        match &self.act {
            Act::Quiesce(was) => format!("stop {}", was.unit),
            Act::Reload => "reload systemd".to_owned(),
            Act::RemoveStray => "look for pods on containerd".to_owned(),
            Act::Mark => "nothing to take back".to_owned(),
            Act::Undo(undo) => match undo {
                Undo::RestoreFile { path, .. } => format!("restore {path}"),
                Undo::RemoveFile { path, .. } => format!("remove {path}"),
                Undo::RemoveDirs { dirs } => format!("remove {}", dirs.join(", ")),
                Undo::RestoreLinks { unit, .. } => format!("restore enablement of {unit}"),
                Undo::RestoreActivity { was, .. } => format!("start {}", was.unit),
                Undo::Restart { was } => format!("restart {}", was.unit),
                Undo::Reload => "reload systemd".to_owned(),
                Undo::RemovePods { endpoint, .. } => format!("remove the pods on {endpoint}"),
                Undo::StartContainers { containers, .. } => {
                    format!("start {} other Docker containers", containers.len())
                }
                Undo::ReturnImages { layers, .. } if layers.is_empty() => "take the images from containerd".to_owned(),
                Undo::ReturnImages { layers, .. } => format!("give Docker {} layers back", layers.len()),
                Undo::Uncordon { node, .. } => format!("uncordon node {node}"),
                Undo::RestoreKubeletMap { map, .. } => format!("restore ConfigMap kube-system/{map}"),
                Undo::RestoreAnnotation { node, key, .. } => format!("restore the annotation {key} of node {node}"),
                Undo::None { .. } => "nothing to take back".to_owned(),
            },
        }
    }
}

/// The records that say that a task was taken back.
pub fn marks(task: &Task, skipped: Option<&str>) -> Vec<Record> {
    let skipped = skipped.map(str::to_owned);
    task.steps.iter().map(|index| Record::StepUndone { index: *index, skipped: skipped.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;

    fn unit(name: &str, active: &str) -> UnitSnapshot {
        UnitSnapshot { unit: name.into(), active: active.into(), file_state: "enabled".into(), invocation: "1".into() }
    }

    fn activity(name: &str, active: &str) -> Undo {
        Undo::RestoreActivity { was: unit(name, active), dependents: vec![] }
    }

    #[test]
    fn old_units_start_with_old_files() {
        let file = Undo::RemoveFile {
            path: "/etc/crictl.yaml".into(),
            target: "/etc/crictl.yaml".into(),
            ours: Digest::of(b"x"),
            dirs: vec![],
        };
        let open = vec![
            (1, "stop-kubelet".to_owned(), activity("kubelet.service", "active")),
            (2, "stop-pods".to_owned(), Undo::StartContainers { containers: vec!["c".into()], pods: vec![] }),
            (3, "stop-docker".to_owned(), activity("docker.service", "active")),
            (4, "crictl".to_owned(), file),
            (5, "mask".to_owned(), Undo::RestoreLinks { unit: "docker.service".into(), links: vec![], dirs: vec![] }),
            (6, "reload".to_owned(), Undo::Reload),
            (7, "restart".to_owned(), Undo::Restart { was: unit("containerd.service", "active") }),
            (8, "await".to_owned(), Undo::RemovePods { endpoint: "unix:///c".into(), keep: vec![] }),
            (9, "start-kubelet".to_owned(), activity("kubelet.service", "inactive")),
            (10, "verify".to_owned(), Undo::None { reason: "looks".into() }),
        ];
        let tasks = tasks(&open);
        let said: Vec<String> = tasks.iter().map(Task::describe).collect();
        assert_eq!(
            said,
            [
                "stop kubelet.service",
                "stop docker.service",
                "stop kubelet.service",
                "remove the pods on unix:///c",
                "restore enablement of docker.service",
                "remove /etc/crictl.yaml",
                "reload systemd",
                "restart containerd.service",
                "start docker.service",
                "start 1 other Docker containers",
                "start kubelet.service",
                "nothing to take back",
            ]
        );
        let mut marked: Vec<usize> = tasks.iter().flat_map(|task| task.steps.clone()).collect();
        marked.sort_unstable();
        assert_eq!(marked, (1..=10).collect::<Vec<_>>(), "every open step is taken back exactly once");
    }
}
