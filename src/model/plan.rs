//! What castoff would do: the `Plan` document. A pure value: it can be printed, reviewed, saved, and applied later,
//! but only while every precondition in it still holds.

use super::{Action, Desired, Digest, Finding, Goal, SettingVerdict};
use serde::{Deserialize, Serialize};

/// What happens to a thing. One vocabulary for text symbols, JSON and Ansible's `changed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Something new.
    Create,
    /// Something there gets another content or state.
    Update,
    /// Something goes away.
    Delete,
    /// An act without a lasting state of its own.
    Run,
    /// Looked at, nothing to do.
    NoOp,
}

impl Change {
    /// The symbol of text output. It carries the meaning without colour.
    pub const fn symbol(self) -> char {
        match self {
            Self::Create => '+',
            Self::Update => '~',
            Self::Delete => '-',
            Self::Run => '!',
            Self::NoOp => '=',
        }
    }
}

/// What a step may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Nothing that runs notices.
    None,
    /// Pods on the node stop or restart.
    RestartsPods,
    /// Cannot be taken back.
    Irreversible,
}

/// How a step is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UndoKind {
    /// The old content comes back with owner, mode and extended attributes.
    RestoreBackup,
    /// What was made is removed.
    RemoveCreated,
    /// Links, enablement or activity as they were.
    RestoreUnitState,
    /// The unit is restarted after its files are back.
    Restart,
    /// systemd reads its files again.
    Reload,
    /// Pods made on the new runtime are removed.
    RemovePods,
    /// Docker gets its layers back, and containerd forgets what was carried.
    ReturnImages,
    /// The cluster's node object is as it was.
    RestoreNode,
    /// The cluster's ConfigMap is as it was.
    RestoreConfigMap,
    /// Nothing needs taking back.
    None,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Step {
    /// Kebab-case, unique in the plan.
    pub id: String,
    /// Place in the plan, counted from 1.
    pub index: usize,
    /// What kind of change it is.
    pub change: Change,
    /// What it may cost.
    pub risk: Risk,
    /// How it is taken back.
    pub undo: UndoKind,
    /// Why: sentences for people; ids of findings where one is answered.
    pub why: Vec<String>,
    /// The phase it is timed in: `images`, `drain`, `stop`, `configure`, `start`, `verify`.
    pub phase: String,
    /// What is done.
    pub action: Action,
}

/// Counts over the steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Summary {
    /// Things created.
    pub create: usize,
    /// Things changed.
    pub update: usize,
    /// Things removed.
    pub delete: usize,
    /// Acts.
    pub run: usize,
    /// Steps that cannot be taken back.
    pub irreversible: usize,
}

/// What castoff would do to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// [`super::API_VERSION`].
    pub api_version: String,
    /// `Plan`.
    pub kind: String,
    /// First four hex digits of the digest.
    pub id: String,
    /// Digest over everything that decides what is done.
    pub digest: Digest,
    /// castoff's version.
    pub tool: String,
    /// The node's name.
    pub node: String,
    /// What it is for.
    pub goal: Goal,
    /// What was wanted.
    pub desired: Desired,
    /// True for a running node, false for a file tree: the two are not interchangeable.
    pub live: bool,
    /// Counts.
    pub summary: Summary,
    /// What is notable.
    pub findings: Vec<Finding>,
    /// What becomes of Docker's settings.
    pub verdicts: Vec<SettingVerdict>,
    /// In order.
    pub steps: Vec<Step>,
    /// Things that happen outside the plan, such as "at next boot" on a file tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deferred: Vec<String>,
}

impl Plan {
    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Findings that forbid applying it.
    pub fn blocking(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|f| f.severity == super::Severity::Block && !self.desired.skip_checks.contains(&f.id))
    }

    /// True when a step stops or restarts pods.
    pub fn restarts_pods(&self) -> bool {
        self.steps.iter().any(|step| step.risk == Risk::RestartsPods)
    }

    /// True when a step makes pods leave before the node stops.
    pub fn drains(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::DrainNode { .. }))
    }

    /// True when a step asks or changes something in the node's cluster.
    pub fn is_about_cluster(&self) -> bool {
        use Action::{AnnotateNode, AwaitNode, CordonNode, DrainNode, SetKubeletMap, UncordonNode};
        let asks = |action: &Action| {
            let waits = matches!(action, AwaitNode { .. } | DrainNode { .. });
            waits
                || matches!(
                    action,
                    CordonNode { .. } | UncordonNode { .. } | AnnotateNode { .. } | SetKubeletMap { .. }
                )
        };
        self.steps.iter().any(|step| asks(&step.action))
    }

    /// The same plan without file contents: what may be printed.
    #[must_use]
    pub fn for_reading(&self) -> Self {
        let mut plan = self.clone();
        for step in &mut plan.steps {
            if let Action::WriteFile { content, .. } = &mut step.action {
                *content = None;
            }
        }
        plan
    }

    /// Digest over everything that decides what is done: node, goal, choices and actions, not wording or diffs.
    pub fn compute_digest(&self) -> Digest {
        let actions: Vec<Action> = self
            .for_reading()
            .steps
            .into_iter()
            // Pods come and go, and with them what they need: a drain must not make another plan of a reviewed one.
            .filter(|step| !matches!(step.action, Action::AwaitPods { .. } | Action::AwaitDockerPods { .. }))
            .map(|step| match step.action {
                Action::WriteFile { path, before, after, .. } => {
                    Action::WriteFile { path, before, after, diff: String::new(), content: None }
                }
                Action::ImportImages {
                    root, new_root, source, from_containerd, snapshotter, sandbox, options, ..
                } => Action::ImportImages {
                    images: Vec::new(),
                    bytes: 0,
                    root,
                    new_root,
                    source,
                    from_containerd,
                    snapshotter,
                    sandbox,
                    options,
                },
                // Every write to the cluster makes another one.
                Action::AwaitEtcd { metrics, .. } => Action::AwaitEtcd { metrics, revision: None },
                // A pod may be Ready now and then.
                Action::AwaitNode { node, kubeconfig, .. } => Action::AwaitNode { node, kubeconfig, pods: Vec::new() },
                action => action,
            })
            .collect();
        // Which findings somebody accepts is not part of what is done.
        let desired = Desired { skip_checks: Vec::new(), ..self.desired.clone() };
        let decisive = serde_json::json!({
            "apiVersion": self.api_version, "node": self.node, "goal": self.goal, "live": self.live,
            "desired": desired, "actions": actions,
        });
        Digest::of(decisive.to_string().as_bytes())
    }

    /// Checks what a document read from disk claims about itself.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn validate(&self) -> Result<(), String> {
        if self.api_version != super::API_VERSION || self.kind != "Plan" {
            return Err(format!(
                "it is `{}` of kind `{}`, not `{}` of kind `Plan`",
                self.api_version,
                self.kind,
                super::API_VERSION
            ));
        }
        if self.compute_digest() != self.digest {
            return Err("its digest does not fit its steps: it was changed after it was made".to_owned());
        }
        for step in &self.steps {
            let Action::WriteFile { path, after, content, .. } = &step.action else { continue };
            if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
                return Err(format!("step {} writes `{path}`, which is not an absolute plain path", step.index));
            }
            match content {
                None => {
                    return Err(
                        "it holds no file contents: it was printed for reading; save one with `castoff plan --out`"
                            .to_owned(),
                    );
                }
                Some(text) if Digest::of(text.as_bytes()) != after.digest => {
                    return Err(format!("the content for `{path}` does not fit its digest"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}
