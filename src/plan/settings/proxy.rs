//! Proxies: from `daemon.json` and docker.service's environment to a drop-in of containerd.service.
//!
//! dockerd takes its own settings over its environment (moby `overrideProxyEnv`), and Go reads the upper-case variable
//! before the lower-case one. CNI plugins inherit containerd's environment, so what was only about pulls before is also
//! about their way to the API server now: the cluster's addresses must not go through the proxy.

use super::{Carried, Draft, Judged, PRIVATE, PUBLIC, drop_in, values};
use crate::{
    formats::unit_file::quoted_assignment,
    model::{Facts, Origin, OriginKind, Secret, Severity, Sourced, Verdict, holds_secret, mask_value},
};

/// Variable and key of each.
const VARIABLES: [(&str, &str); 3] =
    [("HTTP_PROXY", "http-proxy"), ("HTTPS_PROXY", "https-proxy"), ("NO_PROXY", "no-proxy")];

const NAME: &str = "50-castoff-proxy";
const WHY: &str = "containerd pulls images now, and needs the proxy that Docker had";

type Value = Sourced<Secret<String>>;

/// Carries the proxies.
pub fn carry(draft: &mut Draft<'_>, carried: &mut Carried) {
    let facts = draft.facts;
    let docker = VARIABLES.map(|(variable, key)| docker_has(facts, variable, key));
    if docker.iter().all(Option::is_none) {
        return;
    }
    let own = VARIABLES.map(|(variable, _)| in_unit(facts, "containerd.service", variable));
    let mut lines = Vec::new();
    let mut secret = false;
    let mut verdicts = Vec::new();
    let mut no_proxy = own.get(2).cloned().flatten().map(|value| value.value.reveal().clone());
    for (((variable, _), docker), own) in VARIABLES.iter().zip(&docker).zip(&own) {
        let Some(docker) = docker else { continue };
        let wanted = docker.value.reveal();
        let judged = match own {
            Some(own) if same(variable, own.value.reveal(), wanted) => {
                Judged::new(Verdict::Equal, "containerd.service", format!("its unit has it ({})", own.origin))
            }
            Some(own) => {
                let note = format!(
                    "containerd.service has its own ({}), which stays: {variable}={} where Docker had {}",
                    own.origin,
                    mask_value(variable, own.value.reveal()),
                    mask_value(variable, wanted)
                );
                Judged::new(Verdict::Manual, "containerd.service", note)
            }
            None => {
                let mut value = wanted.clone();
                let mut note = "written as systemd reads it".to_owned();
                if *variable == "NO_PROXY" {
                    let added = missing(facts, &value);
                    value = with(&value, &added);
                    if !added.is_empty() {
                        note = format!("with {} added: CNI plugins inherit it from containerd", added.join(", "));
                    }
                    no_proxy = Some(value.clone());
                }
                secret |= holds_secret(variable, &value);
                lines.push(format!("Environment={}", quoted_assignment(variable, &value)));
                Judged::new(Verdict::Carried, drop_in(NAME), note)
            }
        };
        verdicts.push((*variable, docker.origin.clone(), mask_value(variable, wanted), judged));
    }
    // Docker may have had no exceptions at all; now that CNI plugins see the proxy, the cluster's are needed.
    let proxied = docker.iter().take(2).chain(own.iter().take(2)).flatten().next().is_some();
    if proxied && no_proxy.is_none() {
        let added = missing(facts, "");
        if !added.is_empty() {
            let value = with("", &added);
            lines.push(format!("Environment={}", quoted_assignment("NO_PROXY", &value)));
            no_proxy = Some(value);
        }
    }
    if !lines.is_empty() {
        let text = format!("# Written by castoff: the proxies Docker had.\n[Service]\n{}\n", lines.join("\n"));
        carried.file("containerd-proxy", &drop_in(NAME), text, if secret { PRIVATE } else { PUBLIC }, WHY);
    }
    say(draft, verdicts);
    if proxied {
        warn(draft, no_proxy.as_deref().unwrap_or_default());
    }
}

fn say(draft: &mut Draft<'_>, verdicts: Vec<(&'static str, Origin, String, Judged)>) {
    // `proxies` holds all three: the least certain of their verdicts is its verdict.
    let worst = verdicts.iter().map(|(.., judged)| judged).max_by_key(|judged| judged.verdict).cloned();
    if let Some(worst) = worst {
        draft.decide("proxies", &worst);
    }
    for (variable, origin, shown, judged) in verdicts {
        let key = VARIABLES.iter().find(|(name, _)| *name == variable).map_or("", |(_, key)| *key);
        let names = [key, variable, &variable.to_ascii_lowercase()].map(str::to_owned);
        let mut known = false;
        for name in &names {
            known |= draft.facts.docker.setting(name).is_some();
            draft.decide(name, &judged);
        }
        if !known && origin.kind != OriginKind::File {
            draft.decide_other(variable, shown, &origin, &judged);
        }
    }
}

/// Warns when the cluster's own addresses would go through the proxy.
fn warn(draft: &mut Draft<'_>, no_proxy: &str) {
    let dns = &draft.facts.surroundings.cluster.dns;
    // A node-local cache has a link-local address that says nothing about the services' range.
    let open: Vec<String> = dns
        .iter()
        .map(|dns| dns.value.clone())
        .filter(|address| !address.starts_with("169.254.") && !covers(no_proxy, address))
        .collect();
    if open.is_empty() {
        return;
    }
    let summary = format!("NO_PROXY does not cover the cluster's services ({})", open.join(", "));
    draft.find(
        "proxy-without-cluster",
        Severity::Warn,
        &summary,
        "CNI plugins inherit containerd's environment, and may reach the API server by its service address",
        "add the services' range to NO_PROXY of containerd.service; on this node no file names it",
        &drop_in(NAME),
    );
}

/// dockerd's own setting, else its environment.
fn docker_has(facts: &Facts, variable: &str, key: &str) -> Option<Value> {
    let flat = values::text(facts, key).and_then(|text| Some((text, facts.docker.setting(key)?)));
    let nested = || Some((values::pairs(facts, "proxies").remove(key)?, facts.docker.setting("proxies")?));
    let setting = flat.or_else(nested).filter(|(text, _)| !text.is_empty());
    if let Some((text, setting)) = setting {
        return Some(Sourced::new(Secret::new(text), setting.origin.clone()));
    }
    in_unit(facts, "docker.service", variable)
}

fn in_unit(facts: &Facts, unit: &str, variable: &str) -> Option<Value> {
    let environment = &facts.surroundings.services.get(unit)?.environment;
    [variable.to_owned(), variable.to_ascii_lowercase()]
        .iter()
        .filter_map(|name| environment.get(name))
        .find(|value| !value.value.reveal().is_empty())
        .cloned()
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn same(variable: &str, a: &str, b: &str) -> bool {
    if variable != "NO_PROXY" {
        return a == b;
    }
    items(b).all(|item| items(a).any(|known| known == item))
}

fn with(list: &str, added: &[String]) -> String {
    items(list).map(str::to_owned).chain(added.iter().cloned()).collect::<Vec<_>>().join(",")
}

/// The cluster's addresses that a file here names and the list does not cover.
fn missing(facts: &Facts, no_proxy: &str) -> Vec<String> {
    let cluster = &facts.surroundings.cluster;
    let domain = cluster.domain.as_ref().map(|domain| format!(".{}", domain.value.trim_start_matches('.')));
    let known = cluster.addresses.iter().map(|address| address.value.clone()).chain(domain.iter().cloned());
    let mut missing: Vec<String> = known.filter(|address| !covers(no_proxy, address)).collect();
    if domain.is_some() && !items(no_proxy).any(|item| item.trim_start_matches(['*', '.']) == "svc") {
        missing.push(".svc".to_owned());
    }
    missing
}

/// Whether an entry of the list takes in a host, an address or a whole range (Go `httpproxy`).
fn covers(no_proxy: &str, what: &str) -> bool {
    items(no_proxy).any(|item| {
        let suffix = item.trim_start_matches(['*', '.']);
        let name = what.trim_start_matches('.');
        if item == "*" || item == what || suffix == name || name.ends_with(&format!(".{suffix}")) {
            return true;
        }
        match (range(item), range(what)) {
            (Some((net, bits)), Some((address, inner))) => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                bits <= inner && net & mask == address & mask
            }
            _ => false,
        }
    })
}

/// An IPv4 address or range. IPv6 is compared as text.
fn range(text: &str) -> Option<(u32, u32)> {
    let (address, bits) = text.split_once('/').unwrap_or((text, "32"));
    let octets: Vec<u8> = address.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let octets: [u8; 4] = octets.try_into().ok()?;
    Some((u32::from_be_bytes(octets), bits.parse().ok().filter(|bits| *bits <= 32)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_covers_names_addresses_and_ranges() {
        for (list, what, covered) in [
            ("10.0.0.0/8", "10.96.0.10", true),
            ("10.0.0.0/8", "10.244.0.0/16", true),
            ("10.96.0.0/12", "10.0.0.0/8", false),
            ("localhost, .example.com", "api.example.com", true),
            ("example.com", "api.example.com", true),
            ("example.com", "badexample.com", false),
            ("*", "10.1.1.1", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("fd00::/8", "fd00::1", false),
            (".svc", ".svc", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("", "1.2.3.4", false),
        ] {
            assert_eq!(covers(list, what), covered, "{list} {what}");
        }
    }

    #[test]
    fn lists_are_equal_when_nothing_is_missing() {
        assert!(same("NO_PROXY", "a, b,c", "c,a"));
        assert!(!same("NO_PROXY", "a", "a,b"));
        assert!(!same("HTTP_PROXY", "http://a", "http://b"));
    }

    proptest! {
        #[test]
        fn any_list_is_survived(list in "[0-9a-z./,*: ]{0,30}", what in "[0-9a-z./:]{0,20}") {
            covers(&list, &what);
        }
    }
}
