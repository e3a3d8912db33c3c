//! Many nodes' documents → one. Nodes come in one by one, so that ten thousand of them need no more memory than what is
//! kept of each.

use crate::model::{
    API_VERSION, CheckStatus, Difference, DifferentValue, Downtime, FindingLine, FleetFinding, FleetNode, FleetReport,
    FleetTotals, ModuleResult, NodeDocument, NodeState, Outcome, Severity, StateCounts, StepStatus, TOOL_VERSION,
    Times, Unreadable, Wave,
};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, HashSet, hash_map},
};

/// Rank of the collection's results.
const ANSIBLE: u8 = 2;

/// A document that is taken in: the node, what is notable about it, and which of two about one node counts.
struct Entry {
    node: FleetNode,
    findings: Vec<FindingLine>,
    /// Results of the collection tell more than reports, those more than plans.
    rank: u8,
    /// When it was written, RFC 3339, UTC; empty where it does not say.
    time: String,
}

impl Entry {
    /// True where it counts instead of one that was taken in before: it tells more, or is later. Where one of them has no time,
    /// nobody knows; then the one that somebody has to look at counts.
    fn replaces(&self, other: &Self) -> bool {
        let timed = !self.time.is_empty() && !other.time.is_empty();
        let by_time = if timed { self.time.cmp(&other.time) } else { Ordering::Equal };
        let to_look_at = |entry: &Self| !entry.node.state.is_good();
        self.rank.cmp(&other.rank).then(by_time).then(to_look_at(self).cmp(&to_look_at(other))).is_ge()
    }
}

/// Takes documents in.
#[derive(Default)]
pub struct Fleet {
    entries: HashMap<String, Entry>,
    unreadable: Vec<Unreadable>,
    superseded: usize,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fleet of {} nodes", self.entries.len())
    }
}

impl Fleet {
    /// Takes in one file's text: a document, or several one after the other. What cannot be used is remembered with
    /// the reason.
    pub fn add(&mut self, file: &str, text: &str) {
        let mut any = false;
        for document in serde_json::Deserializer::from_str(text).into_iter::<NodeDocument>() {
            any = true;
            match document.map_err(|error| error.to_string()).and_then(|document| entry(document, file)) {
                Ok(entry) => self.put(entry),
                Err(why) => {
                    self.reject(file, why);
                    return;
                }
            }
        }
        if !any {
            self.reject(file, "it is empty".to_owned());
        }
    }

    /// Remembers a file that cannot be used.
    pub fn reject(&mut self, file: &str, why: String) {
        self.unreadable.push(Unreadable { file: file.to_owned(), why });
    }

    /// Takes in what another one took in, after its own.
    pub fn absorb(&mut self, other: Self) {
        self.unreadable.extend(other.unreadable);
        self.superseded += other.superseded;
        other.entries.into_values().for_each(|entry| self.put(entry));
    }

    fn put(&mut self, new: Entry) {
        match self.entries.entry(new.node.host.clone()) {
            hash_map::Entry::Vacant(place) => {
                place.insert(new);
            }
            hash_map::Entry::Occupied(mut place) => {
                self.superseded += 1;
                if new.replaces(place.get()) {
                    place.insert(new);
                }
            }
        }
    }

    /// A node that the inventory calls otherwise has told under its own name too; gives how many such there were.
    fn drop_own_names(&mut self) -> usize {
        let told =
            |entry: &Entry| entry.node.node.clone().filter(|node| entry.rank == ANSIBLE && *node != entry.node.host);
        let names: HashSet<String> = self.entries.values().filter_map(told).collect();
        let before = self.entries.len();
        self.entries.retain(|host, entry| entry.rank == ANSIBLE || !names.contains(host));
        before - self.entries.len()
    }

    /// The report.
    pub fn report(mut self) -> FleetReport {
        self.superseded += self.drop_own_names();
        let mut entries: Vec<Entry> = self.entries.into_values().collect();
        let order = wave_order(&entries);
        let place = |wave: &str| order.get(wave).copied().unwrap_or_default();
        entries.sort_unstable_by(|a, b| {
            place(&a.node.wave).cmp(&place(&b.node.wave)).then_with(|| natural(&a.node.host, &b.node.host))
        });
        self.unreadable.sort_by(|a, b| a.file.cmp(&b.file));
        let findings = findings(&entries);
        let nodes: Vec<FleetNode> = entries.into_iter().map(|entry| entry.node).collect();
        FleetReport {
            api_version: API_VERSION.to_owned(),
            kind: "FleetReport".to_owned(),
            tool: TOOL_VERSION.to_owned(),
            totals: totals(&nodes),
            findings,
            differences: differences(&nodes),
            nodes,
            unreadable: self.unreadable,
            superseded: self.superseded,
        }
    }
}

fn entry(document: NodeDocument, file: &str) -> Result<Entry, String> {
    if document.api_version != API_VERSION {
        return Err(format!("it is of version `{}`, not `{API_VERSION}`", document.api_version));
    }
    match document.kind.as_str() {
        "RunReport" | "Plan" | "Verification" => {
            let host = document.node.clone().filter(|node| !node.is_empty()).ok_or("it names no node")?;
            let (rank, time) = (u8::from(document.kind == "RunReport"), document.finished.clone());
            let traits = document.tool.iter().map(|tool| ("castoff.version".to_owned(), tool.clone())).collect();
            let node = FleetNode { traits, ..node_of(&document, host, file) };
            Ok(Entry { node, findings: document.findings, rank, time })
        }
        "NodeResult" => from_ansible(document, file),
        other => Err(format!("a document of kind `{other}` says nothing about what became of a node")),
    }
}

/// A run that somebody is at work on was not killed.
fn at_work(document: &NodeDocument) -> Option<String> {
    document.running.as_ref().map(|by| format!("castoff was still at work there: {by}"))
}

/// What a document of castoff's own says.
fn node_of(document: &NodeDocument, host: String, file: &str) -> FleetNode {
    let state = match document.kind.as_str() {
        "RunReport" if document.cut_off => NodeState::CutOff,
        "RunReport" if is_returned(document) => NodeState::Returned,
        "RunReport" => document.outcome.map_or(NodeState::Failed, |outcome| of_outcome(outcome, document.exit_code)),
        "Plan" if document.is_blocked() => NodeState::Blocked,
        "Plan" if document.steps.is_empty() => NodeState::NoChange,
        "Plan" => NodeState::Planned,
        _ if document.checks.iter().any(|check| check.status == CheckStatus::Fail) => NodeState::NotAsExpected,
        _ => NodeState::Verified,
    };
    FleetNode {
        host,
        node: document.node.clone(),
        wave: String::new(),
        state,
        run: document.run.clone(),
        started: document.started.clone(),
        plan: document.digest.clone().or_else(|| document.plan.clone()).unwrap_or_default(),
        message: if state.is_good() { None } else { at_work(document).or_else(|| reason(document)) },
        downtime: document.downtime,
        cordoned: false,
        findings: ids(&document.findings),
        traits: BTreeMap::new(),
        file: file.to_owned(),
    }
}

/// Taken back because somebody asked for it. One that failed before was taken back for that, whoever did it in the end.
fn is_returned(document: &NodeDocument) -> bool {
    let failed = document.steps.iter().any(|step| matches!(step.status, Some(StepStatus::Failed)));
    document.returned && document.outcome == Some(Outcome::RolledBack) && !failed
}

fn of_outcome(outcome: Outcome, exit_code: u8) -> NodeState {
    match outcome {
        Outcome::NoChange => NodeState::NoChange,
        Outcome::Applied if exit_code == 0 => NodeState::Migrated,
        Outcome::Applied => NodeState::Unproven,
        Outcome::Blocked => NodeState::Blocked,
        Outcome::RolledBack => NodeState::RolledBack,
        Outcome::Stuck => NodeState::Stuck,
        Outcome::Interrupted => NodeState::Interrupted,
    }
}

/// The step or check that began it, or the findings that forbid it.
fn reason(document: &NodeDocument) -> Option<String> {
    let failed = |status| matches!(status, Some(StepStatus::Failed | StepStatus::UndoFailed));
    let step = document.steps.iter().find(|step| failed(step.status));
    let step = step.map(|step| format!("{}: {}", step.id, step.detail.as_deref().unwrap_or("failed")));
    let check = || {
        let check = document.checks.iter().find(|check| check.status == CheckStatus::Fail)?;
        Some(format!("{}: {}", check.id, check.detail))
    };
    let blocking = || {
        let all = document.findings.iter().filter(|finding| finding.severity == Severity::Block);
        let all: Vec<&str> = all.map(|finding| finding.id.as_str()).collect();
        (!all.is_empty()).then(|| all.join(", "))
    };
    step.or_else(check).or_else(blocking)
}

fn ids(findings: &[FindingLine]) -> Vec<String> {
    let mut ids: Vec<String> = findings.iter().map(|finding| finding.id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// What the collection's `NodeResult` says: the inventory's name, the module's result, and how it went around them.
fn from_ansible(document: NodeDocument, file: &str) -> Result<Entry, String> {
    let host = document.host.clone().filter(|host| !host.is_empty()).ok_or("it names no host")?;
    let action = document.action.as_deref().unwrap_or_default();
    let state = state_of(&document, action);
    let mut result = document.result.unwrap_or_default();
    let report = result.report.take();
    let mut node = match &report {
        Some(report) => node_of(report, host, file),
        None => FleetNode { findings: ids(&result.findings), ..blank(host, file) },
    };
    let message = document.error.or_else(|| result.msg.take()).or_else(|| node.message.take());
    node.message = if state.is_good() { None } else { message };
    node.state = state;
    node.wave = document.wave.unwrap_or_default();
    node.cordoned = document.cordoned;
    node.node = result.node.take().or(node.node);
    node.traits = std::mem::take(&mut result.node_facts);
    node.plan = result.plan_digest.take().unwrap_or(node.plan);
    if node.run.is_empty() {
        node.run = std::mem::take(&mut result.run_id);
    }
    let (finished, findings) = report.map_or_else(Default::default, |report| (report.finished, report.findings));
    let findings = if result.findings.is_empty() { findings } else { result.findings };
    // What went wrong around a run is later than the run.
    let time = if document.recorded.is_empty() { finished } else { document.recorded };
    Ok(Entry { node, findings, rank: ANSIBLE, time })
}

fn blank(host: String, file: &str) -> FleetNode {
    FleetNode {
        host,
        node: None,
        wave: String::new(),
        state: NodeState::Failed,
        run: String::new(),
        started: String::new(),
        plan: String::new(),
        message: None,
        downtime: Downtime::default(),
        cordoned: false,
        findings: Vec::new(),
        traits: BTreeMap::new(),
        file: file.to_owned(),
    }
}

fn state_of(document: &NodeDocument, action: &str) -> NodeState {
    if document.unreachable {
        return NodeState::Unreachable;
    }
    if let Some(back) = &document.rollback {
        let held = back.failed || matches!(back.outcome, Some(Outcome::Stuck));
        return if held { NodeState::Stuck } else { NodeState::RolledBack };
    }
    let Some(result) = &document.result else { return NodeState::Failed };
    let by_outcome = result.outcome.map(|outcome| of_outcome(outcome, result.exit_code));
    if result.failed {
        let otherwise = if action == "verified" { NodeState::NotAsExpected } else { NodeState::Failed };
        return by_outcome.filter(|state| !state.is_good()).unwrap_or(otherwise);
    }
    if document.error.is_some() {
        return NodeState::Failed;
    }
    match action {
        "rolled_back" if result.changed => NodeState::Returned,
        "rolled_back" | "committed" => NodeState::NoChange,
        "verified" => NodeState::Verified,
        "planned" => planned(result),
        // In check mode nothing was done yet.
        _ => by_outcome.unwrap_or(if result.changed { NodeState::Planned } else { NodeState::NoChange }),
    }
}

fn planned(result: &ModuleResult) -> NodeState {
    if result.plan.as_ref().is_some_and(|plan| plan.is_blocked()) {
        NodeState::Blocked
    } else if result.steps() == 0 {
        NodeState::NoChange
    } else {
        NodeState::Planned
    }
}

/// Waves in the order in which they began; those that never did come last, by name.
fn wave_order(entries: &[Entry]) -> HashMap<String, usize> {
    let mut began: BTreeMap<&str, &str> = BTreeMap::new();
    for FleetNode { wave, started, .. } in entries.iter().map(|entry| &entry.node) {
        let first = began.entry(wave).or_insert("~");
        if !started.is_empty() && started.as_str() < *first {
            *first = started;
        }
    }
    let mut waves: Vec<(&str, &str)> = began.into_iter().map(|(wave, first)| (first, wave)).collect();
    waves.sort_unstable();
    waves.into_iter().enumerate().map(|(place, (_, wave))| (wave.to_owned(), place)).collect()
}

/// `worker-9` before `worker-10`.
fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    /// Numbers by length, then digit by digit: they may be too large for any integer.
    fn rank<'a>((text, number, _): (&'a str, &'a str, &'a str)) -> (&'a str, usize, &'a str) {
        let digits = number.trim_start_matches('0');
        (text, digits.len(), digits)
    }
    let (mut left, mut right) = (split(a), split(b));
    loop {
        let order = rank(left).cmp(&rank(right));
        if order.is_ne() || (left.2.is_empty() && right.2.is_empty()) {
            return order.then_with(|| a.cmp(b));
        }
        (left, right) = (split(left.2), split(right.2));
    }
}

/// The first text and number of a name, and what follows.
fn split(name: &str) -> (&str, &str, &str) {
    let digits = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len());
    let (text, rest) = name.split_at(digits);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, rest) = rest.split_at(end);
    (text, number, rest)
}

fn totals(nodes: &[FleetNode]) -> FleetTotals {
    let mut states = StateCounts::new();
    let mut waves: Vec<Wave> = Vec::new();
    for node in nodes {
        *states.entry(node.state).or_default() += 1;
        if waves.last().is_none_or(|wave| wave.wave != node.wave) {
            waves.push(Wave { wave: node.wave.clone(), nodes: 0, states: StateCounts::new() });
        }
        if let Some(wave) = waves.last_mut() {
            wave.nodes += 1;
            *wave.states.entry(node.state).or_default() += 1;
        }
    }
    FleetTotals {
        nodes: nodes.len(),
        states,
        waves,
        kubelet: times(nodes, |downtime| downtime.kubelet_seconds),
        workload: times(nodes, |downtime| downtime.workload_seconds),
    }
}

fn times(nodes: &[FleetNode], of: impl Fn(&Downtime) -> Option<f64>) -> Option<Times> {
    let mut all: Vec<(f64, &str)> =
        nodes.iter().filter_map(|node| Some((of(&node.downtime)?, node.host.as_str()))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let at = |percent: usize| all.get((all.len() * percent).div_ceil(100).saturating_sub(1)).map(|(time, _)| *time);
    let (longest, host) = *all.last()?;
    Some(Times { nodes: all.len(), median: at(50)?, p95: at(95)?, longest, longest_host: host.to_owned() })
}

fn findings(entries: &[Entry]) -> Vec<FleetFinding> {
    let mut all: BTreeMap<&str, FleetFinding> = BTreeMap::new();
    for entry in entries {
        for FindingLine { id, severity, summary } in &entry.findings {
            let found = all.entry(id).or_insert_with(|| FleetFinding {
                id: id.clone(),
                severity: *severity,
                summary: summary.clone(),
                count: 0,
                nodes: Vec::new(),
            });
            // The same finding may be there more than once, at several places of one node.
            if found.nodes.last() != Some(&entry.node.host) {
                found.count += 1;
                found.nodes.push(entry.node.host.clone());
            }
            found.severity = found.severity.min(*severity);
        }
    }
    let mut all: Vec<FleetFinding> = all.into_values().collect();
    all.sort_by(|a, b| a.severity.cmp(&b.severity).then(b.count.cmp(&a.count)).then_with(|| a.id.cmp(&b.id)));
    all
}

fn differences(nodes: &[FleetNode]) -> Vec<Difference> {
    let mut all: BTreeMap<&str, BTreeMap<&str, Vec<String>>> = BTreeMap::new();
    for node in nodes {
        for (name, value) in &node.traits {
            all.entry(name).or_default().entry(value).or_default().push(node.host.clone());
        }
    }
    all.into_iter()
        .filter(|(_, values)| values.len() > 1)
        .map(|(name, values)| {
            let mut values: Vec<DifferentValue> = values
                .into_iter()
                .map(|(value, nodes)| DifferentValue { value: value.to_owned(), count: nodes.len(), nodes })
                .collect();
            values.sort_by_key(|value| std::cmp::Reverse(value.count));
            Difference { name: name.to_owned(), values }
        })
        .collect()
}
