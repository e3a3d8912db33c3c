//! Words of documents, for people.

use crate::model::{CheckStatus, DockerFate, Goal, ImagePolicy, Risk, Severity, Step, StepStatus, UndoKind};

/// What a plan is for.
pub const fn goal(goal: Goal) -> &'static str {
    match goal {
        Goal::Containerd => "pods move from Docker to containerd",
        Goal::CgroupDriver => "the node stays on Docker; one cgroup driver everywhere",
    }
}

/// What a step may cost; empty where nothing notices.
pub const fn risk(risk: Risk) -> &'static str {
    match risk {
        Risk::None => "",
        Risk::RestartsPods => "pods stop or restart",
        Risk::Irreversible => "cannot be taken back",
    }
}

/// How a step is taken back.
pub const fn undo(undo: UndoKind) -> &'static str {
    match undo {
        UndoKind::RestoreBackup => "the old content comes back",
        UndoKind::RemoveCreated => "what was made is removed",
        UndoKind::RestoreUnitState => "the unit is as it was",
        UndoKind::Restart => "restarted with its old files",
        UndoKind::Reload => "systemd reads its files again",
        UndoKind::RemovePods => "pods made since are removed",
        UndoKind::ReturnImages => "Docker gets its layers back",
        UndoKind::RestoreNode => "the node object is as it was",
        UndoKind::RestoreConfigMap => "the ConfigMap is as it was",
        UndoKind::None => "nothing to take back",
    }
}

/// Why a step is done. The same reason twice says no more than once.
pub fn reasons(step: &Step) -> String {
    let mut why: Vec<&str> = Vec::new();
    for reason in &step.why {
        if !why.contains(&reason.as_str()) {
            why.push(reason);
        }
    }
    why.join("; ")
}

/// How a step of a run ended.
pub const fn step(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Done => "done",
        StepStatus::Failed => "failed",
        StepStatus::Undone => "taken back",
        StepStatus::UndoFailed => "not taken back",
        StepStatus::Pending => "not reached",
    }
}

/// The result of a check.
pub const fn check(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Pass => "pass",
        CheckStatus::Fail => "fail",
        CheckStatus::Skip => "skip",
        CheckStatus::Inconclusive => "inconclusive",
    }
}

/// What becomes of Docker's units.
pub const fn docker(fate: DockerFate) -> &'static str {
    match fate {
        DockerFate::Mask => "stopped, disabled and masked; nothing is removed",
        DockerFate::Disable => "stopped and disabled; nothing is removed",
    }
}

/// Which images come along.
pub const fn images(policy: ImagePolicy) -> &'static str {
    match policy {
        ImagePolicy::Needed => "those that the node's pods need",
        ImagePolicy::All => "those that the node's pods need, and all that have a tag",
        ImagePolicy::None => "none; they are pulled again",
    }
}

/// A phase of a run.
pub fn phase(name: &str) -> &str {
    match name {
        "images" => "Carry images",
        "drain" => "Drain",
        "stop" => "Stop the old side",
        "configure" => "Configure",
        "start" => "Start the new side",
        "verify" => "Prove the node",
        "rollback" => "Take back",
        other => other,
    }
}

/// How many findings of which weight.
pub fn weights(count: impl Fn(Severity) -> usize) -> String {
    let (block, warn, note) = (count(Severity::Block), count(Severity::Warn), count(Severity::Note));
    let warnings = super::table::counted(warn, "warning");
    format!("{block} blocking, {warnings}, {}", super::table::counted(note, "note"))
}
