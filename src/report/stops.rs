//! What a plan stops, from which step to which, and after how long castoff would give up waiting.

use crate::{
    model::{Action, Plan, Risk, Span},
    report::table::{counted, seconds},
};

const KUBELET: &str = "kubelet.service";

/// Something that is away, or not as usual, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// What.
    pub what: String,
    /// The step that begins it.
    pub from: usize,
    /// The step that ends it; absent when the plan does not.
    pub to: Option<usize>,
    /// What all waits between the two may take together; absent where there is no end, or a step without a deadline.
    pub at_most: Option<Span>,
    /// True when pods notice.
    pub pods: bool,
}

impl Stop {
    /// Between which steps it is away, for people.
    pub fn between(&self) -> String {
        match self.to {
            Some(to) if to == self.from => format!("step {to}"),
            Some(to) => format!("step {} to {to}", self.from),
            None => format!("from step {} on", self.from),
        }
    }

    /// How long castoff waits for it at most, for people.
    pub fn deadline(&self) -> String {
        match (self.at_most, self.to) {
            (Some(span), _) => format!("{span} at most"),
            (None, None) => "it stays so".to_owned(),
            (None, Some(_)) => "-".to_owned(),
        }
    }
}

/// What the plan stops, in the order in which that begins.
pub fn stops(plan: &Plan) -> Vec<Stop> {
    let mut all: Vec<Stop> = Vec::new();
    let find = |from: usize, wanted: &dyn Fn(&Action) -> bool| {
        plan.steps.iter().find(|step| step.index >= from && wanted(&step.action)).map(|step| step.index)
    };
    for step in &plan.steps {
        let from = step.index;
        let mut pods = step.risk == Risk::RestartsPods;
        let (what, to) = match &step.action {
            Action::CordonNode { .. } => {
                let to = find(from, &|action| matches!(action, Action::UncordonNode { .. }));
                ("no new pods come to the node".to_owned(), to)
            }
            Action::DrainNode { .. } => ("pods are evicted to other nodes".to_owned(), Some(from)),
            Action::StopUnit { unit } => {
                let to = find(from, &|action| match action {
                    Action::StartUnit { unit: back } | Action::RestartUnit { unit: back } => back == unit,
                    _ => false,
                });
                (if to.is_some() { format!("{unit} is down") } else { format!("{unit} is stopped and stays so") }, to)
            }
            Action::RestartUnit { unit } => (format!("{unit} restarts"), Some(from)),
            Action::StopDockerPods { .. } => {
                let back =
                    |action: &Action| matches!(action, Action::AwaitPods { .. } | Action::AwaitDockerPods { .. });
                let kubelet = |action: &Action| matches!(action, Action::StartUnit { unit } | Action::RestartUnit { unit } if unit == KUBELET);
                pods = true;
                ("the node's pods are down".to_owned(), find(from, &back).or_else(|| find(from, &kubelet)))
            }
            _ => continue,
        };
        // One restart that a stop already spans would be told twice.
        let told = |stop: &Stop| {
            stop.to == Some(from) && stop.from < from && matches!(step.action, Action::RestartUnit { .. })
        };
        if all.iter().any(told) {
            continue;
        }
        let at_most = to.and_then(|to| waits(plan, from, to));
        all.push(Stop { what, from, to, at_most, pods });
    }
    all
}

/// The deadlines of the steps from one to another, added up. Writing a file or a link waits for nothing.
fn waits(plan: &Plan, from: usize, to: usize) -> Option<Span> {
    let timeouts = &plan.desired.timeouts;
    let mut total = 0;
    for step in plan.steps.iter().filter(|step| (from..=to).contains(&step.index)) {
        // The checks of a proof depend on what there is to check.
        if matches!(step.action, Action::Verify { .. }) {
            return None;
        }
        let Some(span) = step.action.limit(timeouts) else { continue };
        total += span.duration().as_secs();
    }
    Some(Span::seconds(total))
}

/// What people ask first: whether pods notice, and how long at most.
pub fn headline(plan: &Plan, stops: &[Stop]) -> String {
    let mine = stops.iter().find(|stop| stop.pods && stop.to.is_some());
    match mine {
        Some(Stop { from, to: Some(to), at_most: Some(span), .. }) if to > from => format!(
            "Pods are down from step {from} to step {to}. castoff waits {span} at most in these steps, and takes everything back after that."
        ),
        Some(stop) => format!("Pods notice {}.", stop.between()),
        None if plan.restarts_pods() => "Pods stop or restart.".to_owned(),
        None if !plan.live => {
            "This is a plan for a file tree: nothing is stopped, and what is written counts from the next boot on."
                .to_owned()
        }
        None => "No pod stops or restarts.".to_owned(),
    }
}

/// Counts of what a plan does, for people.
pub fn amounts(plan: &Plan) -> String {
    let s = plan.summary;
    let mut parts = vec![format!("{} to change", s.update), format!("{} to create", s.create)];
    if s.delete > 0 {
        parts.push(format!("{} to remove", s.delete));
    }
    parts.push(counted(s.run, "action"));
    parts.push(format!("{} irreversible", s.irreversible));
    parts.join(", ")
}

/// Seconds, or a dash where nothing was away.
pub fn away(time: Option<f64>) -> String {
    time.map_or_else(|| "-".to_owned(), seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{API_VERSION, Change, Desired, Digest, Goal, Profile, Step, Summary, UndoKind};

    fn plan(actions: Vec<Action>) -> Plan {
        let step = |(place, action): (usize, Action)| Step {
            id: format!("s{place}"),
            index: place + 1,
            change: Change::Run,
            risk: if matches!(action, Action::StopDockerPods { .. }) { Risk::RestartsPods } else { Risk::None },
            undo: UndoKind::None,
            why: Vec::new(),
            phase: "stop".to_owned(),
            action,
        };
        Plan {
            api_version: API_VERSION.to_owned(),
            kind: "Plan".to_owned(),
            id: "7f3a".to_owned(),
            digest: Digest::of(b""),
            tool: "0".to_owned(),
            node: "n".to_owned(),
            goal: Goal::Containerd,
            desired: Desired::resolve(Goal::Containerd, &Profile::default(), &[]).unwrap(),
            live: true,
            summary: Summary::default(),
            findings: Vec::new(),
            verdicts: Vec::new(),
            steps: actions.into_iter().enumerate().map(step).collect(),
            deferred: Vec::new(),
        }
    }

    fn stop(unit: &str) -> Action {
        Action::StopUnit { unit: unit.to_owned() }
    }

    #[test]
    fn what_stops_has_its_end_and_its_deadline() {
        let endpoint = "unix:///x".to_owned();
        let plan = plan(vec![
            stop(KUBELET),
            Action::StopDockerPods { cni_bin_dirs: Vec::new() },
            stop("docker.service"),
            Action::DaemonReload,
            Action::RestartUnit { unit: "containerd.service".to_owned() },
            Action::StartUnit { unit: KUBELET.to_owned() },
            Action::AwaitPods { pods: vec!["a/b".to_owned()], endpoint: endpoint.clone() },
            Action::Verify { endpoint: Some(endpoint) },
        ]);
        let stops = stops(&plan);
        let told: Vec<(String, String)> = stops.iter().map(|stop| (stop.between(), stop.deadline())).collect();
        let told: Vec<(&str, &str)> = told.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(
            told,
            [
                // Five units of 2 min each; pods 5 min more.
                ("step 1 to 6", "10m at most"),
                ("step 2 to 7", "13m at most"),
                ("from step 3 on", "it stays so"),
                ("step 5", "2m at most"),
            ]
        );
        assert!(headline(&plan, &stops).starts_with("Pods are down from step 2 to step 7. castoff waits 13m at most"));
    }

    #[test]
    fn a_restart_that_ends_a_stop_is_told_once() {
        let plan =
            plan(vec![stop("containerd.service"), Action::RestartUnit { unit: "containerd.service".to_owned() }]);
        let stops = stops(&plan);
        assert_eq!(stops.len(), 1);
        assert_eq!(headline(&plan, &stops), "No pod stops or restarts.");
    }
}
