//! Facts + desired → plan. Pure: the same facts and wishes give the same plan, down to its digest.
//!
//! The order of steps keeps the node usable wherever it is cut off: images first (nothing stops), then kubelet, the
//! pods and Docker stop, files are written, Docker's units are masked, and only then the new side starts.

mod cluster;
mod containerd;
mod convert;
mod diff;
mod docker;
mod draft;
mod images;
mod kubeadm;
mod kubelet;
mod kubelet_unit;
mod leaving;
mod registry;
mod service;
mod settings;
mod verdicts;

use crate::{
    formats::crictl,
    model::{
        API_VERSION, Action, CNI_BIN_DIRS, CRICTL_YAML, Change, DOCKER_UNITS, Desired, Digest, DockerFate, Facts, Goal,
        Plan, Risk, RuntimeKind, Severity, Step, TOOL_VERSION, UndoKind,
    },
};
use draft::{Draft, Phase};

pub use convert::convert;
pub use diff::unified;
pub use images::{CONTAINERD_ROOT, carry, docker_layers, familiar, keeps_in_containerd, needs};

/// How a plan is shown; none of it changes what is done.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Lines of context around a change in diffs.
    pub context: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { context: 3 }
    }
}

const CONTAINERD: &str = "containerd.service";

/// Where castoff writes what systemd reads.
const UNIT_FILES: &str = "/etc/systemd/system/";

/// Makes the plan that brings a node from what it is to what it should be.
pub fn plan(facts: &Facts, desired: &Desired, options: Options) -> Plan {
    let mut draft = Draft::new(facts, desired, options);
    let runtime = facts.kubelet.runtime.as_ref().map(|runtime| runtime.value);
    // Half a migration is finished the way a whole one is done: what is right already makes no step.
    let from_docker = matches!(runtime, Some(RuntimeKind::Dockershim | RuntimeKind::CriDockerd));
    let half = facts.is_half_migrated();
    match (desired.goal, runtime) {
        (Goal::Containerd, _) if from_docker || half => from_docker_to_containerd(&mut draft),
        (Goal::CgroupDriver, _) if from_docker => unify_on_docker(&mut draft),
        (_, Some(RuntimeKind::Containerd)) => keep_containerd_right(&mut draft),
        _ => {}
    }
    finish(draft)
}

/// The main job.
fn from_docker_to_containerd(draft: &mut Draft<'_>) {
    let carried = settings::gather(draft);
    let live = draft.facts.live;
    let pods = cluster::stay(draft, pods_to_await(draft.facts));
    if live {
        images::import(draft);
    }
    // Nothing leaves a file tree, which is said where it was asked for.
    cluster::leave(draft);
    if live {
        stop_kubelet(draft);
        if draft.facts.docker.running {
            stop_docker_pods(draft, "kubelet's pods must not run twice, and live-restore would leave them");
        }
        for (unit, name) in docker_units(draft.facts) {
            if is_up(draft.facts, unit) {
                let why = "kubelet no longer uses it; a socket left listening would start it again";
                draft.step(
                    &format!("stop-{name}"),
                    Phase::Stop,
                    Change::Run,
                    Risk::RestartsPods,
                    UndoKind::RestoreUnitState,
                    why,
                    Action::StopUnit { unit: unit.to_owned() },
                );
            }
        }
    }
    registry::from_docker(draft);
    configure(draft);
    carried.write(draft);
    let follows = docker::daemon_json(draft);
    kubeadm::advice(draft, true);
    enable_containerd(draft);
    retire_docker(draft);
    if live {
        let reload = "systemd must see the masks and files";
        draft.step("reload", Phase::Configure, Change::Run, Risk::None, UndoKind::Reload, reload, Action::DaemonReload);
        start_containerd(draft);
        start_kubelet(draft, Some(pods));
    } else {
        draft.deferred.extend([
            "at next boot: containerd starts with the new configuration, Docker does not start".to_owned(),
            "at next boot: kubelet starts on containerd".to_owned(),
            "images are pulled at next boot, unless they are put into containerd's store some other way".to_owned(),
        ]);
        kubeadm::kubelet_map(draft);
    }
    docker::judge_driver(draft, follows);
    let others = std::mem::take(&mut draft.verdicts);
    draft.verdicts = verdicts::judge(draft);
    draft.verdicts.extend(others);
}

/// A node that is on containerd: only what is different from what is wanted.
fn keep_containerd_right(draft: &mut Draft<'_>) {
    // containerd reads hosts.toml at every pull: nothing has to stop for these files.
    registry::mend(draft);
    let before = draft.steps.len();
    configure(draft);
    let written: Vec<String> = draft.steps.iter().skip(before).map(|step| step.action.object()).collect();
    let main = draft.facts.containerd.config_path.as_ref().map(|path| path.value.clone());
    let of_containerd =
        |path: &String| Some(path) == main.as_ref() || draft.facts.containerd.config_files.contains(path);
    // Its file says CRI and the daemon does not serve it: it has not read the file yet.
    let stale = draft.facts.containerd.cri_answers.as_ref().is_some_and(|answers| !answers.value);
    let touches_containerd = stale || written.iter().any(of_containerd);
    let touches_kubelet = written.iter().any(|path| !of_containerd(path) && path != CRICTL_YAML);
    enable_containerd(draft);
    if !draft.facts.live || written.is_empty() && !stale {
        kubeadm::kubelet_map(draft);
        return;
    }
    // Kubelet must not see half of a change; it stops before the first file is written.
    if touches_containerd || touches_kubelet {
        let files = draft.steps.split_off(before);
        stop_kubelet(draft);
        draft.steps.extend(files);
    }
    reload_for_files(draft);
    if touches_containerd {
        start_containerd(draft);
    }
    if touches_containerd || touches_kubelet {
        start_kubelet(draft, None);
    } else {
        kubeadm::kubelet_map(draft);
    }
}

/// `--goal cgroup-driver` on a node that stays on Docker.
fn unify_on_docker(draft: &mut Draft<'_>) {
    let before = draft.steps.len();
    docker::daemon_json(draft);
    kubelet::cgroup_driver(draft);
    kubeadm::advice(draft, false);
    let files = draft.steps.split_off(before);
    if draft.desired.cluster.drain && !files.is_empty() {
        cluster::leave(draft);
    }
    if !draft.facts.live || files.is_empty() {
        draft.steps.extend(files);
        kubeadm::kubelet_map(draft);
        return;
    }
    let pods = cluster::stay(draft, docker_pods(draft.facts));
    stop_kubelet(draft);
    stop_docker_pods(draft, "a container keeps the cgroup it was made in");
    // Stopped and started, not restarted: a rollback then starts it behind the Docker whose driver it is to learn.
    let shim = draft.facts.shim_unit().filter(|unit| is_up(draft.facts, unit));
    if let Some(unit) = shim {
        let why = "it asks Docker for the cgroup driver at its start only";
        let action = Action::StopUnit { unit: unit.to_owned() };
        draft.step("stop-cri-docker", Phase::Stop, Change::Run, Risk::None, UndoKind::RestoreUnitState, why, action);
    }
    draft.steps.extend(files);
    reload_for_files(draft);
    let why = "dockerd reads its cgroup driver at start only";
    draft.step(
        "restart-docker",
        Phase::Start,
        Change::Run,
        Risk::RestartsPods,
        UndoKind::Restart,
        why,
        Action::RestartUnit { unit: "docker.service".to_owned() },
    );
    if let Some(unit) = shim {
        let why = "it asks Docker for the cgroup driver now";
        let action = Action::StartUnit { unit: unit.to_owned() };
        draft.step("start-cri-docker", Phase::Start, Change::Run, Risk::None, UndoKind::RestoreUnitState, why, action);
    }
    start_unit_kubelet(draft);
    let why = "the node is as it was only when its pods run";
    draft.step(
        "await-pods",
        Phase::Start,
        Change::Run,
        Risk::None,
        UndoKind::None,
        why,
        Action::AwaitDockerPods { pods },
    );
    cluster::etcd(draft);
    let why = "an active unit proves nothing";
    draft.step(
        "verify",
        Phase::Verify,
        Change::NoOp,
        Risk::None,
        UndoKind::None,
        why,
        Action::Verify { endpoint: None },
    );
    cluster::come_back(draft);
    kubeadm::kubelet_map(draft);
}

/// systemd reads its files again where one of them changes.
fn reload_for_files(draft: &mut Draft<'_>) {
    let written = |step: &Step| matches!(&step.action, Action::WriteFile { path, .. } if path.starts_with(UNIT_FILES));
    if draft.steps.iter().any(written) {
        draft.step(
            "reload",
            Phase::Configure,
            Change::Run,
            Risk::None,
            UndoKind::Reload,
            "systemd must see the changed unit files",
            Action::DaemonReload,
        );
    }
}

fn docker_pods(facts: &Facts) -> Vec<String> {
    let on_docker = facts.pods.iter().filter(|pod| pod.runtime == "docker");
    on_docker.map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect()
}

/// Pods that must run again afterwards. What Docker still runs on a node that was half moved may be long gone from the
/// cluster: there only static pods, and those that run on containerd too, are sure to be wanted.
fn pods_to_await(facts: &Facts) -> Vec<String> {
    let mut pods = docker_pods(facts);
    if facts.is_half_migrated() {
        let fixed = &facts.kubelet.static_pods;
        let wanted = facts.pods.iter().filter(|pod| {
            pod.runtime == "containerd"
                || fixed.iter().any(|fixed| facts.is_static_pod(fixed, &pod.namespace, &pod.name))
        });
        let wanted: Vec<String> = wanted.map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect();
        pods.retain(|pod| wanted.contains(pod));
    }
    pods
}

/// Docker's units that are there, each with its name in ids of steps: cri-dockerd has one, whatever its unit is called.
fn docker_units(facts: &Facts) -> Vec<(&'static str, String)> {
    let there = DOCKER_UNITS.into_iter().filter(|unit| facts.unit(unit).is_there());
    let name = |unit: &str| unit.replace("cri-dockerd", "cri-docker").replace(".service", "").replace('.', "-");
    there.map(|unit| (unit, name(unit))).collect()
}

fn configure(draft: &mut Draft<'_>) {
    containerd::endpoint(draft);
    containerd::config(draft);
    kubelet::cgroup_driver(draft);
    kubelet::endpoint(draft);
    kubelet::cgroups(draft);
    kubelet_unit::dependencies(draft);
    let text = draft.facts.texts.get(CRICTL_YAML).cloned();
    match crictl::with_endpoint(text.as_deref(), &draft.desired.endpoint) {
        Ok(after) => {
            draft.write("crictl-config", CRICTL_YAML, &after, "crictl must ask the runtime that runs the pods");
        }
        // A tool for people: the node does without.
        Err(error) => draft.find(
            "config-not-editable",
            Severity::Warn,
            "crictl's endpoint is not set",
            &error.to_string(),
            "correct the file; both runtime-endpoint and image-endpoint have to name containerd's socket",
            CRICTL_YAML,
        ),
    }
}

/// Docker's unit often was what started containerd. From now on containerd must start at boot by itself; a unit that cannot
/// is started by kubelet's ([`kubelet_unit::dependencies`]).
fn enable_containerd(draft: &mut Draft<'_>) {
    let unit = CONTAINERD;
    if matches!(draft.facts.unit(unit).file_state.as_str(), "disabled" | "linked")
        && !kubelet_unit::cannot_be_enabled(draft)
    {
        draft.step(
            "enable-containerd",
            Phase::Configure,
            Change::Update,
            Risk::None,
            UndoKind::RestoreUnitState,
            "it must start at boot by itself, not because Docker wants it",
            Action::EnableUnit { unit: unit.to_owned() },
        );
    }
}

fn retire_docker(draft: &mut Draft<'_>) {
    for (unit, short) in docker_units(draft.facts) {
        let state = draft.facts.unit(unit).file_state;
        if matches!(state.as_str(), "enabled" | "enabled-runtime" | "alias" | "linked") {
            draft.step(
                &format!("disable-{short}"),
                Phase::Configure,
                Change::Update,
                Risk::None,
                UndoKind::RestoreUnitState,
                "it must not start at boot",
                Action::DisableUnit { unit: unit.to_owned() },
            );
        }
        if draft.desired.docker != DockerFate::Mask || state == "masked" {
            continue;
        }
        let own = format!("/etc/systemd/system/{unit}");
        if draft.facts.unit(unit).fragment.as_deref() == Some(&own) {
            let summary = format!("{own} is in the way of masking {unit}");
            draft.find(
                "docker-unit-not-maskable",
                Severity::Warn,
                &summary,
                "an administrator's own unit file",
                "remove or move it if nothing may start Docker again",
                &own,
            );
            continue;
        }
        draft.step(
            &format!("mask-{short}"),
            Phase::Configure,
            Change::Update,
            Risk::None,
            UndoKind::RestoreUnitState,
            "nothing may start it while kubelet is on containerd",
            Action::MaskUnit { unit: unit.to_owned() },
        );
    }
}

/// True for a unit that runs, or is on its way: one that crashes all the time is, between two crashes.
fn is_up(facts: &Facts, unit: &str) -> bool {
    matches!(facts.unit(unit).active.as_str(), "active" | "activating" | "reloading")
}

fn stop_kubelet(draft: &mut Draft<'_>) {
    if draft.facts.kubelet.running || is_up(draft.facts, "kubelet.service") {
        draft.step(
            "stop-kubelet",
            Phase::Stop,
            Change::Run,
            Risk::None,
            UndoKind::RestoreUnitState,
            "it must not see half of the change; pods go on running without it",
            Action::StopUnit { unit: "kubelet.service".to_owned() },
        );
    }
}

fn stop_docker_pods(draft: &mut Draft<'_>, why: &str) {
    let mut cni_bin_dirs = draft.facts.kubelet.shim_cni_bin_dirs();
    cni_bin_dirs.retain(|dir| !CNI_BIN_DIRS.contains(&dir.as_str()));
    draft.step(
        "stop-docker-pods",
        Phase::Stop,
        Change::Run,
        Risk::RestartsPods,
        UndoKind::RestoreUnitState,
        why,
        Action::StopDockerPods { cni_bin_dirs },
    );
}

fn start_containerd(draft: &mut Draft<'_>) {
    let endpoint = draft.desired.endpoint.clone();
    draft.step(
        "restart-containerd",
        Phase::Start,
        Change::Run,
        Risk::None,
        UndoKind::Restart,
        "it reads its configuration at start only",
        Action::RestartUnit { unit: CONTAINERD.to_owned() },
    );
    draft.step(
        "await-cri",
        Phase::Start,
        Change::Run,
        Risk::None,
        UndoKind::RemovePods,
        "containerd serves happily without CRI; kubelet must not find it so",
        Action::AwaitCri { endpoint },
    );
}

fn start_unit_kubelet(draft: &mut Draft<'_>) {
    draft.step(
        "start-kubelet",
        Phase::Start,
        Change::Run,
        Risk::RestartsPods,
        UndoKind::RestoreUnitState,
        "pods start again here",
        Action::StartUnit { unit: "kubelet.service".to_owned() },
    );
}

fn start_kubelet(draft: &mut Draft<'_>, pods: Option<Vec<String>>) {
    start_unit_kubelet(draft);
    let endpoint = draft.desired.endpoint.clone();
    if let Some(pods) = pods.filter(|pods| !pods.is_empty()) {
        draft.step(
            "await-pods",
            Phase::Start,
            Change::Run,
            Risk::None,
            UndoKind::None,
            "the node is moved only when its pods run again",
            Action::AwaitPods { pods, endpoint: endpoint.clone() },
        );
    }
    cluster::etcd(draft);
    cluster::arrive(draft);
    draft.step(
        "verify",
        Phase::Verify,
        Change::NoOp,
        Risk::None,
        UndoKind::None,
        "an active unit proves nothing",
        Action::Verify { endpoint: Some(endpoint) },
    );
    cluster::come_back(draft);
    kubeadm::kubelet_map(draft);
}

fn finish(draft: Draft<'_>) -> Plan {
    let Draft { facts, desired, mut steps, findings, mut verdicts, others, deferred, .. } = draft;
    verdicts.extend(others);
    for (at, step) in steps.iter_mut().enumerate() {
        step.index = at + 1;
    }
    let mut all = facts.findings.clone();
    if desired.goal == Goal::CgroupDriver {
        all.retain(|finding| !leaving::ONLY.contains(&finding.id.as_str()) && !finding.id.starts_with("registry-"));
    }
    all.extend(findings);
    all.sort_by(|a, b| (a.severity, &a.id).cmp(&(b.severity, &b.id)));
    let mut plan = Plan {
        api_version: API_VERSION.to_owned(),
        kind: "Plan".to_owned(),
        id: String::new(),
        digest: Digest::of(b""),
        tool: TOOL_VERSION.to_owned(),
        node: facts.name().to_owned(),
        goal: desired.goal,
        desired: desired.clone(),
        live: facts.live,
        summary: draft::summary(&steps),
        findings: all,
        verdicts,
        deferred: if steps.is_empty() { Vec::new() } else { deferred },
        steps,
    };
    plan.digest = plan.compute_digest();
    plan.digest.short().clone_into(&mut plan.id);
    plan
}

#[cfg(test)]
#[path = "half_tests.rs"]
mod half_tests;
