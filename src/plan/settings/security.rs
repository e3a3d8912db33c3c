//! SELinux, seccomp, and the two sysctls Docker gives every container since 20.10.

use super::{Draft, Judged, containerd_version, path_of, values};
use crate::{
    formats::{
        containerd::{Literal, Place},
        package_db::version_pair,
    },
    model::{Finding, Origin, Severity, Verdict},
};
use serde_json::Value;

/// Carries them.
pub fn carry(draft: &mut Draft<'_>) {
    selinux(draft);
    seccomp(draft);
    unprivileged(draft);
}

fn selinux(draft: &mut Draft<'_>) {
    let key = "selinux-enabled";
    let judged = match values::switch(draft.facts, key) {
        Some(true) => {
            draft.set_containerd(Place::Runtime(path_of(&["enable_selinux"])), Literal::Bool(true));
            let note = "containers go on being labelled; the policy (package container-selinux) must know containerd";
            Judged::new(Verdict::Carried, "enable_selinux = true", note)
        }
        Some(false) => Judged::new(Verdict::Equal, "enable_selinux", "off is containerd's default"),
        None => return,
    };
    draft.decide(key, &judged);
}

/// Docker applied its profile to pods that asked for the runtime's default. containerd's default is built in; what it
/// can be told is the profile of pods for which kubelet asks nothing.
fn seccomp(draft: &mut Draft<'_>) {
    let key = "seccomp-profile";
    let Some(profile) = values::text(draft.facts, key) else { return };
    let place = Place::Runtime(path_of(&["unset_seccomp_profile"]));
    let target = "unset_seccomp_profile";
    let judged = match profile.as_str() {
        "builtin" | "default" => Judged::new(Verdict::Equal, "", "containerd has a built-in profile too"),
        "unconfined" => Judged::new(Verdict::Equal, target, "pods that ask for none run without one"),
        path if !path.starts_with('/') => Judged::new(Verdict::Manual, target, "the profile's path is not absolute"),
        path => match readable(draft, path) {
            Ok(()) => {
                draft.set_containerd(place, Literal::Text(format!("localhost/{path}")));
                narrower(draft, path);
                let note = "for pods for which kubelet asks no profile; RuntimeDefault is containerd's built-in one";
                Judged::new(Verdict::Carried, format!("{target} = localhost/{path}"), note)
            }
            Err(why) => Judged::new(Verdict::Manual, target, why),
        },
    };
    draft.decide(key, &judged);
}

/// containerd reads the OCI form, and ignores the conditions that only Docker's form has: rules would hold that should
/// not.
fn readable(draft: &Draft<'_>, path: &str) -> Result<(), String> {
    let Some(text) = draft.facts.texts.get(path) else {
        return Err(format!("{path} is not there or cannot be read"));
    };
    let Ok(profile) = serde_json::from_str::<Value>(text) else { return Err(format!("{path} is no JSON")) };
    if profile.get("defaultAction").is_none() {
        return Err(format!("{path} has no defaultAction"));
    }
    let rules = profile.get("syscalls").and_then(Value::as_array).into_iter().flatten();
    let conditional = |rule: &&Value| {
        ["includes", "excludes"].iter().any(|key| {
            let condition = rule.get(key).and_then(Value::as_object);
            condition.is_some_and(|fields| fields.values().any(|value| !value.is_null()))
        })
    };
    match rules.filter(conditional).count() {
        0 => Ok(()),
        count => Err(format!(
            "{count} rules have conditions (includes, excludes) that only Docker reads: containerd would apply them always"
        )),
    }
}

fn narrower(draft: &mut Draft<'_>, path: &str) {
    let summary = "Docker's seccomp profile does not hold for pods that ask for RuntimeDefault";
    let mut finding = Finding::new("seccomp-profile-narrower", Severity::Warn, summary)
        .cause(format!("Docker used {path} for them; containerd's own profile is built in"))
        .fix("name the profile as Localhost in the pods that need it (below kubelet's seccomp directory)");
    finding.origins.extend(draft.facts.docker.setting("seccomp-profile").map(|setting| setting.origin.clone()));
    draft.findings.push(finding);
}

/// Docker 20.10 and later lets any user in a container bind ports below 1024 and ping.
fn unprivileged(draft: &mut Draft<'_>) {
    let facts = draft.facts;
    let docker = facts.docker.version.as_ref().and_then(|version| version_pair(&version.value));
    let (Some(docker), Some(containerd)) = (docker, containerd_version(facts)) else { return };
    if docker < (20, 10) {
        return;
    }
    let kernel = facts.node.kernel.as_ref().and_then(|kernel| version_pair(&kernel.value));
    let keys = ["enable_unprivileged_icmp", "enable_unprivileged_ports"];
    let target = keys.join(", ");
    let places = keys.map(|key| Place::Runtime(path_of(&[key])));
    let off = |place: &Place| draft.containerd_says(place).is_some_and(|said| said.value == Literal::Bool(false));
    let judged = if kernel.is_some_and(|kernel| kernel < (4, 11)) {
        Judged::new(Verdict::Equal, "", "this kernel is too old for it; Docker did not set it either")
    } else if containerd < (1, 6) {
        let summary = "programs without root can no longer bind ports below 1024";
        draft.find(
            "unprivileged-ports",
            Severity::Warn,
            summary,
            "Docker 20.10 allows it in every container; containerd knows enable_unprivileged_ports from 1.6 on",
            "give such pods the sysctl net.ipv4.ip_unprivileged_port_start=0 or the capability NET_BIND_SERVICE",
            "/etc/containerd/config.toml",
        );
        Judged::new(Verdict::Manual, target, "containerd knows it from 1.6 on; give the pods that need it the sysctl")
    } else if containerd >= (2, 0) && !places.iter().any(off) {
        Judged::new(Verdict::Equal, target, "containerd's default from 2.0 on")
    } else {
        for place in places {
            draft.set_containerd(place, Literal::Bool(true));
        }
        Judged::new(Verdict::Carried, target, "off by default before containerd 2.0")
    };
    let origin = Origin::default_of("dockerd").with_detail("dockerd 20.10 and later");
    draft.decide_other("net.ipv4.ip_unprivileged_port_start, net.ipv4.ping_group_range", "0", &origin, &judged);
}
