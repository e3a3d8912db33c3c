//! What Docker set in the kernel each time it started, and nobody will set any more: written down for the next boot.

use super::{Carried, Draft, Judged, PUBLIC, values};
use crate::model::{Finding, KernelSwitch, Origin, Severity, Verdict};

/// Sorts after `99-sysctl.conf`, through which systemd reads /etc/sysctl.conf on Debian.
const SYSCTL_FILE: &str = "/etc/sysctl.d/99-zz-castoff-kubernetes.conf";
const MODULES_FILE: &str = "/etc/modules-load.d/castoff-kubernetes.conf";

const FORWARD: &str = "net.ipv4.ip_forward";
const BRIDGE4: &str = "net.bridge.bridge-nf-call-iptables";
const BRIDGE6: &str = "net.bridge.bridge-nf-call-ip6tables";

/// Carries them.
pub fn carry(draft: &mut Draft<'_>, carried: &mut Carried) {
    let around = &draft.facts.surroundings;
    if around.sysctls.is_empty() && around.modules.is_empty() {
        return;
    }
    let forwards = values::switch(draft.facts, "ip-forward") != Some(false);
    let missing: Vec<&str> = [BRIDGE6, BRIDGE4, FORWARD]
        .into_iter()
        .filter(|key| around.sysctls.get(*key).is_some_and(|switch| needed(key, switch, forwards)))
        .collect();
    let modules: Vec<&str> = ["br_netfilter", "overlay"]
        .into_iter()
        .filter(|name| around.modules.get(*name).is_some_and(|switch| wants_module(name, switch, &missing)))
        .collect();
    if !modules.is_empty() {
        let text = format!("# Written by castoff: Docker loaded these.\n{}\n", modules.join("\n"));
        carried.file("kernel-modules", MODULES_FILE, text, PUBLIC, "Docker loaded them, and does not start any more");
    }
    if !missing.is_empty() {
        let lines: Vec<String> = missing.iter().map(|key| format!("{key} = 1\n")).collect();
        let text = format!("# Written by castoff: Docker set these at every start.\n{}", lines.concat());
        carried.file("kernel-sysctls", SYSCTL_FILE, text, PUBLIC, "Docker set them, and does not start any more");
    }
    contradicted(draft, &missing);
    off_now(draft, forwards);
    judge(draft, &missing, forwards);
}

/// Missing at boot, and used: what runs tells, and in a file tree what Kubernetes' own guide asks for.
fn needed(key: &str, switch: &KernelSwitch, forwards: bool) -> bool {
    if switch.persisted.as_ref().is_some_and(|persisted| persisted.value == "1") {
        return false;
    }
    match key {
        FORWARD => forwards,
        _ => switch.running.as_deref().is_none_or(|running| running == "1"),
    }
}

/// The bridge's switches are there only when its module is.
fn wants_module(name: &str, switch: &KernelSwitch, sysctls: &[&str]) -> bool {
    if switch.persisted.is_some() {
        return false;
    }
    let used = sysctls.iter().any(|key| key.starts_with("net.bridge."));
    match switch.running.as_deref() {
        Some("absent") => name == "br_netfilter" && used,
        _ => true,
    }
}

/// A file says 0 where Docker made it 1 afterwards: the new file wins, and somebody should know.
fn contradicted(draft: &mut Draft<'_>, missing: &[&str]) {
    let against: Vec<(String, Origin)> = missing
        .iter()
        .filter_map(|key| {
            let persisted = draft.facts.surroundings.sysctls.get(*key)?.persisted.as_ref()?;
            Some((format!("{key} = {}", persisted.value), persisted.origin.clone()))
        })
        .collect();
    if against.is_empty() {
        return;
    }
    let words: Vec<&str> = against.iter().map(|(words, _)| words.as_str()).collect();
    let summary = "a file switches off what Docker switched on again at each start";
    let mut finding = Finding::new("sysctl-contradicted", Severity::Warn, summary)
        .cause(words.join(", "))
        .fix(format!("{SYSCTL_FILE} wins over it; take the line out so that the two do not argue"));
    finding.origins = against.into_iter().map(|(_, origin)| origin).collect();
    draft.findings.push(finding);
}

/// Written down is not set: on a running node Docker has set it, unless somebody took it back.
fn off_now(draft: &mut Draft<'_>, forwards: bool) {
    let switch = draft.facts.surroundings.sysctls.get(FORWARD);
    let off = switch.and_then(|switch| switch.running.as_deref()).is_some_and(|running| running == "0");
    if !off || !forwards {
        return;
    }
    draft.find(
        "ip-forward-off",
        Severity::Warn,
        "this node forwards no packets (net.ipv4.ip_forward is 0)",
        "Docker switches it on when it starts; something has switched it off since",
        "run `sysctl -w net.ipv4.ip_forward=1`; the plan only writes it down for the next boot",
        "/proc/sys/net/ipv4/ip_forward",
    );
}

fn judge(draft: &mut Draft<'_>, missing: &[&str], forwards: bool) {
    let verdict = |key: &str| {
        if missing.contains(&key) {
            Judged::new(Verdict::Carried, SYSCTL_FILE, "Docker set it at each start; now it is set at boot")
        } else {
            Judged::new(Verdict::Equal, "", "set at boot already, or not in use here")
        }
    };
    let forward = if forwards {
        verdict(FORWARD)
    } else {
        Judged::new(Verdict::Equal, "", "Docker left net.ipv4.ip_forward alone, and so does castoff")
    };
    if draft.facts.docker.setting("ip-forward").is_some() {
        draft.decide("ip-forward", &forward);
    } else {
        draft.decide_other(FORWARD, "1", &Origin::default_of("dockerd"), &forward);
    }
    for key in [BRIDGE4, BRIDGE6] {
        draft.decide_other(key, "1", &Origin::default_of("dockerd and kubelet"), &verdict(key));
    }
}
