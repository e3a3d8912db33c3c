//! Records of the journal: what was about to be done, what was done, and how it is taken back.

use super::{Digest, Outcome};
use serde::{Deserialize, Serialize};

/// A symlink of a unit below `/etc/systemd/system`, as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnitLink {
    /// Absolute path of the link.
    pub path: String,
    /// What it pointed to, byte for byte.
    pub target: String,
}

/// A unit as it was before a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UnitSnapshot {
    /// Unit name.
    pub unit: String,
    /// `active`, `inactive`, `failed`, …
    pub active: String,
    /// `enabled`, `masked`, …
    pub file_state: String,
    /// Invocation id, hexadecimal.
    pub invocation: String,
}

/// A layer of Docker's that containerd may get.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LentLayer {
    /// Its directory.
    pub dir: String,
    /// Digest of it and all layers below.
    pub chain: String,
}

/// How one step is taken back. Written and fsynced before the step acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Undo {
    /// Writes the backup back.
    RestoreFile {
        /// Path as the plan names it.
        path: String,
        /// The file that really is written, links followed.
        target: String,
        /// Digest of the old content, which is also the backup's name.
        digest: Digest,
        /// Digest of the new content: anything else there now is somebody else's work.
        ours: Digest,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Extended attributes, name and value in hexadecimal.
        xattrs: Vec<(String, String)>,
        /// Modification time, seconds and nanoseconds.
        mtime: (i64, i64),
    },
    /// Removes a file that was not there.
    RemoveFile {
        /// Path as the plan names it.
        path: String,
        /// The file that really is written, links followed.
        target: String,
        /// Digest of what we wrote.
        ours: Digest,
        /// Directories that we made for it, outermost first.
        dirs: Vec<String>,
    },
    /// Removes directories that were not there, outermost first, as far as they are empty.
    RemoveDirs {
        /// The directories.
        dirs: Vec<String>,
    },
    /// Puts a unit's links back exactly, and removes those it did not have.
    RestoreLinks {
        /// Unit name.
        unit: String,
        /// Every link of it that was there.
        links: Vec<UnitLink>,
        /// Directories that we made, outermost first.
        #[serde(default)]
        dirs: Vec<String>,
    },
    /// Brings a unit back to the activity it had.
    RestoreActivity {
        /// The unit as it was.
        was: UnitSnapshot,
        /// Other active units that systemd stops together with it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        dependents: Vec<String>,
    },
    /// Restarts a unit, so that it runs with its old files.
    Restart {
        /// The unit as it was.
        was: UnitSnapshot,
    },
    /// Makes systemd read its files again.
    Reload,
    /// Stops and removes the pods that the kubelet made through this endpoint.
    RemovePods {
        /// `unix://…`.
        endpoint: String,
        /// Sandboxes that were there before: not ours.
        keep: Vec<String>,
    },
    /// Starts Docker containers that ran and that nothing else brings back.
    StartContainers {
        /// Docker's ids.
        containers: Vec<String>,
        /// Pods that ran, `namespace/name`.
        pods: Vec<String>,
    },
    /// Gives Docker the layers back that were lent to containerd, then takes from containerd what the run made there.
    ReturnImages {
        /// Docker's data root.
        source: String,
        /// containerd's root.
        root: String,
        /// True when the running containerd keeps its data elsewhere.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        new_root: bool,
        /// Layers that are Docker's own, and that may be lent.
        layers: Vec<LentLayer>,
        /// Ids of the images that come along.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ids: Vec<String>,
        /// Names that containerd has; absent where it was not asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        had: Option<Vec<String>>,
    },
    /// Lets pods come to the node again.
    Uncordon {
        /// The node's name in the cluster.
        node: String,
        /// The kubeconfig to speak with.
        kubeconfig: String,
    },
    /// Puts an annotation of the node back.
    RestoreAnnotation {
        /// The node's name in the cluster.
        node: String,
        /// The kubeconfig to speak with.
        kubeconfig: String,
        /// The annotation.
        key: String,
        /// What it was; absent where it was not there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// Puts a field of kubeadm's configuration of all kubelets back.
    RestoreKubeletMap {
        /// The kubeconfig to speak with.
        kubeconfig: String,
        /// The ConfigMap in kube-system.
        map: String,
        /// The field.
        key: String,
        /// What it was; absent where it was not there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// Nothing to take back.
    None {
        /// Why not.
        reason: String,
    },
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "record", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Record {
    /// The run began.
    RunStarted {
        /// Digest of the plan beside the journal.
        plan: Digest,
        /// castoff's version.
        tool: String,
        /// A passed verification commits the run.
        #[serde(default)]
        commit: bool,
        /// Sandboxes on the new runtime at that time; absent when it did not answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sandboxes: Option<Vec<String>>,
        /// Mount points below which files of the plan lay at that time, but for the root.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mounts: Vec<String>,
    },
    /// A step is about to act.
    StepStarted {
        /// Place in the plan.
        index: usize,
        /// Its id.
        id: String,
        /// How it is taken back.
        undo: Undo,
    },
    /// A step acted and what was expected of it holds.
    StepDone {
        /// Place in the plan.
        index: usize,
        /// How long it took.
        seconds: Seconds,
        /// What it says for itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// A step could not be done because the cluster's API server was away or refused. The node is fine without it, so it
    /// counts as done in this run, and is done when somebody asks for it.
    StepPutOff {
        /// Place in the plan.
        index: usize,
        /// Why.
        why: String,
    },
    /// What was put off is done.
    PutOffDone {
        /// Place in the plan.
        index: usize,
    },
    /// A step failed.
    StepFailed {
        /// Place in the plan.
        index: usize,
        /// Why.
        error: String,
    },
    /// Taking back began.
    RollbackStarted {
        /// Why.
        why: String,
        /// Pods that ran on the new runtime then, `namespace/name` each, where a run is taken back that had ended well: those
        /// have to run on Docker again, whatever ran there before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pods: Option<Vec<String>>,
    },
    /// No new pods come to the node while it is taken back.
    Cordoned,
    /// They come again.
    Uncordoned,
    /// A step was taken back.
    StepUndone {
        /// Place in the plan.
        index: usize,
        /// What was left alone, and why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        skipped: Option<String>,
    },
    /// A step could not be taken back.
    UndoFailed {
        /// Place in the plan.
        index: usize,
        /// Why.
        error: String,
    },
    /// The run ended. Without such a record it is dirty.
    RunFinished {
        /// How.
        outcome: Outcome,
    },
    /// Unless somebody keeps it by then, the run is taken back. The last such record counts.
    KeepUntil {
        /// RFC 3339, UTC.
        until: String,
        /// How long that was when it was said, seconds.
        within: u64,
    },
    /// Somebody (or a passed verification) said that the new state stays.
    Committed,
}

/// Seconds, kept to the millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(from = "f64", into = "f64")]
pub struct Seconds(u64);

impl From<f64> for Seconds {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Saturating is what is wanted.
    fn from(seconds: f64) -> Self {
        Self((seconds.max(0.0) * 1000.0).round() as u64)
    }
}

impl From<Seconds> for f64 {
    #[allow(clippy::cast_precision_loss)] // Exact for 285 000 years.
    fn from(seconds: Seconds) -> Self {
        seconds.0 as Self / 1000.0
    }
}

/// A record with its time and number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Entry {
    /// RFC 3339, UTC.
    pub time: String,
    /// Counted from 0.
    pub seq: u64,
    /// What happened.
    #[serde(flatten)]
    pub record: Record,
}
