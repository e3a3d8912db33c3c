//! Fields of KubeletConfiguration that matter to a change of the runtime: since which release there is one, and which
//! flag beats it (kubelet's `config/v1beta1/types.go` and `options.go`, 1.18-1.37).

use super::kubelet_flags::Release;
use serde_json::{Map, Value};

/// How a flag's text becomes a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A text.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Switch,
    /// Texts between commas.
    List,
    /// `name=value` between commas.
    Pairs,
    /// `name<value` between commas.
    Thresholds,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in KubeletConfiguration.
    pub key: &'static str,
    /// The flag that beats it.
    pub flag: Option<&'static str>,
    /// The first release that knows it, where that is later than 1.18; older ones ignore it.
    pub since: Option<Release>,
    /// What its value looks like.
    pub shape: Shape,
}

const fn of(key: &'static str, flag: &'static str, shape: Shape) -> Field {
    Field { key, flag: Some(flag), since: None, shape }
}

const fn since(key: &'static str, flag: Option<&'static str>, since: Release, shape: Shape) -> Field {
    Field { key, flag, since: Some(since), shape }
}

use Shape::{List, Number, Pairs, Switch, Text, Thresholds};

/// The fields. `runtimeCgroups`, `rootDir` and `hostnameOverride` are flags only.
pub const FIELDS: &[Field] = &[
    since("containerRuntimeEndpoint", Some("container-runtime-endpoint"), (1, 27), Text),
    since("imageServiceEndpoint", Some("image-service-endpoint"), (1, 27), Text),
    of("runtimeRequestTimeout", "runtime-request-timeout", Text),
    of("cgroupDriver", "cgroup-driver", Text),
    of("cgroupRoot", "cgroup-root", Text),
    of("cgroupsPerQOS", "cgroups-per-qos", Switch),
    of("kubeletCgroups", "kubelet-cgroups", Text),
    of("runtimeCgroups", "runtime-cgroups", Text),
    of("systemCgroups", "system-cgroups", Text),
    of("kubeReservedCgroup", "kube-reserved-cgroup", Text),
    of("systemReservedCgroup", "system-reserved-cgroup", Text),
    of("kubeReserved", "kube-reserved", Pairs),
    of("systemReserved", "system-reserved", Pairs),
    of("enforceNodeAllocatable", "enforce-node-allocatable", List),
    of("cpuManagerPolicy", "cpu-manager-policy", Text),
    of("memoryManagerPolicy", "memory-manager-policy", Text),
    of("topologyManagerPolicy", "topology-manager-policy", Text),
    of("staticPodPath", "pod-manifest-path", Text),
    of("staticPodURL", "manifest-url", Text),
    of("containerLogMaxSize", "container-log-max-size", Text),
    of("containerLogMaxFiles", "container-log-max-files", Number),
    since("containerLogMaxWorkers", None, (1, 30), Number),
    since("containerLogMonitorInterval", None, (1, 30), Text),
    since("podLogsDir", None, (1, 30), Text),
    of("resolvConf", "resolv-conf", Text),
    of("evictionHard", "eviction-hard", Thresholds),
    of("evictionSoft", "eviction-soft", Thresholds),
    of("imageGCHighThresholdPercent", "image-gc-high-threshold", Number),
    of("imageGCLowThresholdPercent", "image-gc-low-threshold", Number),
    of("imageMinimumGCAge", "minimum-image-ttl-duration", Text),
    since("imageMaximumGCAge", None, (1, 29), Text),
    of("serializeImagePulls", "serialize-image-pulls", Switch),
    since("maxParallelImagePulls", None, (1, 27), Number),
    of("registryPullQPS", "registry-qps", Number),
    since("seccompDefault", Some("seccomp-default"), (1, 22), Switch),
    since("failCgroupV1", Some("fail-cgroupv1"), (1, 31), Switch),
    of("failSwapOn", "fail-swap-on", Switch),
    since("memorySwap", None, (1, 22), Text),
    since("singleProcessOOMKill", None, (1, 32), Switch),
    since("crashLoopBackOff", None, (1, 32), Text),
    since("userNamespaces", None, (1, 33), Text),
    since("imagePullCredentialsVerificationPolicy", None, (1, 33), Text),
    of("podPidsLimit", "pod-max-pids", Number),
    of("maxPods", "max-pods", Number),
    of("protectKernelDefaults", "protect-kernel-defaults", Switch),
    of("hairpinMode", "hairpin-mode", Text),
    of("podCIDR", "pod-cidr", Text),
    of("featureGates", "feature-gates", Pairs),
    of("rootDir", "root-dir", Text),
    of("hostnameOverride", "hostname-override", Text),
];

/// A field by its name.
pub fn field(key: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.key == key)
}

impl Field {
    /// Whether a release knows it; an unknown release is taken for a new one.
    pub fn is_known_to(&self, release: Option<Release>) -> bool {
        match (self.since, release) {
            (Some(since), Some(release)) => release >= since,
            _ => true,
        }
    }

    /// The field's value out of a flag's text.
    pub fn value(&self, text: &str) -> Value {
        let parts = || text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let map = |by: char| -> Map<String, Value> {
            let pairs = parts().filter_map(|part| part.split_once(by));
            pairs.map(|(name, value)| (name.trim().to_owned(), Value::from(value.trim()))).collect()
        };
        match self.shape {
            Shape::Text => Value::from(text),
            Shape::Number => text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
            Shape::Switch => match text {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Value::from(true),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Value::from(false),
                _ => Value::from(text),
            },
            Shape::List => Value::from(parts().map(str::to_owned).collect::<Vec<_>>()),
            Shape::Pairs => Value::from(map('=')),
            Shape::Thresholds => Value::from(map('<')),
        }
    }
}

/// Applies a drop-in's value to a field as kubelet does, a JSON merge patch: mappings join, everything else is
/// replaced, and `null` takes a field back to its default.
pub fn merge(base: &mut Option<Value>, patch: &Value) {
    match (base.as_mut(), patch) {
        (_, Value::Null) => *base = None,
        (Some(Value::Object(base)), Value::Object(patch)) => {
            for (key, value) in patch {
                let mut inner = base.remove(key);
                merge(&mut inner, value);
                if let Some(inner) = inner {
                    base.insert(key.clone(), inner);
                }
            }
        }
        (_, Value::Object(patch)) => {
            let mut fresh = Some(Value::Object(Map::new()));
            if !patch.is_empty() {
                merge(&mut fresh, &Value::Object(patch.clone()));
            }
            *base = fresh;
        }
        _ => *base = Some(patch.clone()),
    }
}

/// Bytes of a threshold as `evictionHard` has it: a quantity, or a share of `total`. Nothing for one that switches itself off, or is
/// written in powers of ten (kubelet `pkg/kubelet/eviction/helpers.go`, parseThresholdStatement; apimachinery `resource.Quantity`).
pub fn threshold(text: &str, total: u64) -> Option<u64> {
    const UNITS: [(&str, u128); 10] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
    ];
    let bytes = match text.strip_suffix('%') {
        Some("0" | "100") => return None,
        Some(percent) => u128::from(total).checked_mul(thousandths(percent)?)? / 100_000,
        None => {
            let scaled = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(*unit)?, *bytes)));
            let (number, bytes) = scaled.unwrap_or((text, 1));
            thousandths(number)?.checked_mul(bytes)? / 1000
        }
    };
    u64::try_from(bytes).ok()
}

/// `1.5` → 1500.
fn thousandths(number: &str) -> Option<u128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let part = format!("{part:0<3}");
    u128::from(whole.parse::<u64>().ok()?).checked_mul(1000)?.checked_add(part.get(..3)?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn thresholds_are_shares_or_quantities() {
        for (text, bytes) in [
            ("15%", Some(3_000)),
            ("12.5%", Some(2_500)),
            ("10Gi", Some(10 << 30)),
            ("1.5k", Some(1_500)),
            ("500M", Some(500_000_000)),
            ("77", Some(77)),
            ("0%", None),
            ("1e9", None),
            ("-5%", None),
            ("", None),
        ] {
            assert_eq!(threshold(text, 20_000), bytes, "{text}");
        }
    }

    #[test]
    fn fields_and_flags_are_named_once() {
        let keys: BTreeSet<_> = FIELDS.iter().map(|field| field.key).collect();
        let flags: Vec<_> = FIELDS.iter().filter_map(|field| field.flag).collect();
        assert_eq!(keys.len(), FIELDS.len());
        assert_eq!(flags.iter().collect::<BTreeSet<_>>().len(), flags.len());
    }

    #[test]
    fn flags_take_the_shape_of_their_field() {
        for (key, text, expected) in [
            ("cgroupDriver", "systemd", json!("systemd")),
            ("containerLogMaxFiles", "5", json!(5)),
            ("failSwapOn", "F", json!(false)),
            ("enforceNodeAllocatable", "pods, kube-reserved", json!(["pods", "kube-reserved"])),
            ("kubeReserved", "cpu=100m,memory=1Gi", json!({"cpu": "100m", "memory": "1Gi"})),
            ("evictionHard", "memory.available<100Mi", json!({"memory.available": "100Mi"})),
        ] {
            assert_eq!(field(key).unwrap().value(text), expected, "{key}");
        }
        let endpoint = field("containerRuntimeEndpoint").unwrap();
        assert!(
            !endpoint.is_known_to(Some((1, 26))) && endpoint.is_known_to(Some((1, 27))) && endpoint.is_known_to(None)
        );
    }

    #[test]
    fn drop_ins_are_merge_patches() {
        for (base, patch, expected) in [
            (Some(json!("a")), json!("b"), Some(json!("b"))),
            (Some(json!([1, 2])), json!([3]), Some(json!([3]))),
            (Some(json!({"a": 1, "b": 2})), json!({"b": null, "c": 3}), Some(json!({"a": 1, "c": 3}))),
            (Some(json!("a")), json!(null), None),
            (None, json!({"a": null, "b": {"c": 1}}), Some(json!({"b": {"c": 1}}))),
            (Some(json!(1)), json!({}), Some(json!({}))),
        ] {
            let mut value = base;
            merge(&mut value, &patch);
            assert_eq!(value, expected);
        }
    }
}
