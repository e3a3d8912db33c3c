//! libcni's cached results: what was added for a container, and so how to take it away again.
//!
//! dockershim's libcni keeps them below `/var/lib/cni/cache/results` (kind `cniCacheV1`, libcni 0.7.1 and later).

use super::FormatError;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// One plugin to be called, with what it reads from its standard input.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginCall {
    /// Name of the plugin's program.
    pub plugin: String,
    /// Its configuration, with the result of the ADD it takes back.
    pub input: Value,
}

/// What libcni remembers of one network of one container.
#[derive(Clone, Debug, PartialEq)]
pub struct CachedResult {
    /// The container (for a pod: its sandbox).
    pub container: String,
    /// Interface inside the network namespace.
    pub interface: String,
    /// The network's name.
    pub network: String,
    /// `CNI_ARGS`: `K=V;K=V`.
    pub arguments: String,
    /// The calls that take it back: the plugins of the list in reverse order, as the CNI specification orders a DEL.
    pub del: Vec<PluginCall>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    kind: String,
    container_id: String,
    config: String,
    if_name: String,
    network_name: String,
    #[serde(default)]
    cni_args: Option<Vec<(String, String)>>,
    #[serde(default)]
    capability_args: Map<String, Value>,
    #[serde(default)]
    result: Value,
}

impl CachedResult {
    /// Reads a cached result.
    ///
    /// # Errors
    /// When it is not one, or of a kind that is not known.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let raw: Raw = serde_json::from_str(text).map_err(|error| FormatError::new(error.to_string()))?;
        if raw.kind != "cniCacheV1" {
            return Err(FormatError::new(format!("`{}` is no kind of cached CNI result that is known", raw.kind)));
        }
        let bytes = STANDARD.decode(&raw.config).map_err(|error| FormatError::new(format!("config: {error}")))?;
        let config: Value =
            serde_json::from_slice(&bytes).map_err(|error| FormatError::new(format!("config: {error}")))?;
        let arguments: Vec<String> =
            raw.cni_args.iter().flatten().map(|(name, value)| format!("{name}={value}")).collect();
        Ok(Self {
            del: del_calls(&config, &raw.network_name, &raw.capability_args, &raw.result),
            container: raw.container_id,
            interface: raw.if_name,
            network: raw.network_name,
            arguments: arguments.join(";"),
        })
    }
}

/// A list has `plugins`; a single configuration is its own only plugin.
fn del_calls(config: &Value, network: &str, capabilities: &Map<String, Value>, result: &Value) -> Vec<PluginCall> {
    let version = config.get("cniVersion").and_then(Value::as_str).unwrap_or("0.1.0");
    let plugins: Vec<&Value> = match config.get("plugins").and_then(Value::as_array) {
        Some(plugins) => plugins.iter().collect(),
        None => vec![config],
    };
    let call = |plugin: &&Value| {
        let mut input = plugin.as_object()?.clone();
        let name = input.get("type")?.as_str()?.to_owned();
        input.insert("name".to_owned(), json!(network));
        input.insert("cniVersion".to_owned(), json!(version));
        let runtime = wanted(plugin, capabilities);
        if !runtime.is_empty() {
            input.insert("runtimeConfig".to_owned(), Value::Object(runtime));
        }
        // Results are handed to DEL from specification 0.4.0 on; older plugins would not know the key.
        if !version.starts_with("0.1")
            && !version.starts_with("0.2")
            && !version.starts_with("0.3")
            && !result.is_null()
        {
            input.insert("prevResult".to_owned(), result.clone());
        }
        Some(PluginCall { plugin: name, input: Value::Object(input) })
    };
    plugins.iter().rev().filter_map(call).collect()
}

/// The capability arguments a plugin declares that it takes.
fn wanted(plugin: &Value, capabilities: &Map<String, Value>) -> Map<String, Value> {
    let declares = |name: &str| plugin.pointer("/capabilities").and_then(|c| c.get(name)) == Some(&Value::Bool(true));
    capabilities.iter().filter(|(name, _)| declares(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cached(config: &Value) -> String {
        json!({
            "kind": "cniCacheV1", "containerId": "c1", "ifName": "eth0", "networkName": "pods",
            "config": STANDARD.encode(config.to_string()),
            "cniArgs": [["IgnoreUnknown", "1"], ["K8S_POD_NAME", "web"]],
            "capabilityArgs": {"portMappings": [{"hostPort": 80}], "bandwidth": {}},
            "result": {"cniVersion": "0.4.0", "ips": []},
        })
        .to_string()
    }

    #[test]
    fn a_list_is_taken_back_in_reverse() {
        let list = json!({"cniVersion": "0.4.0", "name": "pods", "plugins": [
            {"type": "bridge", "ipam": {"type": "host-local"}},
            {"type": "portmap", "capabilities": {"portMappings": true, "bandwidth": false}},
        ]});
        let result = CachedResult::parse(&cached(&list)).unwrap();
        let names: Vec<&str> = result.del.iter().map(|call| call.plugin.as_str()).collect();
        assert_eq!(names, ["portmap", "bridge"]);
        let portmap = &result.del[0].input;
        assert_eq!(portmap["runtimeConfig"], json!({"portMappings": [{"hostPort": 80}]}));
        assert_eq!(portmap["prevResult"]["cniVersion"], "0.4.0");
        assert_eq!((&portmap["name"], &portmap["cniVersion"]), (&json!("pods"), &json!("0.4.0")));
        assert_eq!(result.del[1].input.get("runtimeConfig"), None);
        assert_eq!(result.arguments, "IgnoreUnknown=1;K8S_POD_NAME=web");
    }

    #[test]
    fn a_single_configuration_and_an_old_version() {
        let single = json!({"cniVersion": "0.3.1", "name": "x", "type": "ptp"});
        let result = CachedResult::parse(&cached(&single)).unwrap();
        assert_eq!(result.del.len(), 1);
        assert_eq!(result.del[0].input.get("prevResult"), None);
    }

    #[test]
    fn nonsense_is_an_error() {
        for text in ["", "{}", "[]", r#"{"kind":"x","containerId":"","config":"","ifName":"","networkName":""}"#] {
            assert!(CachedResult::parse(text).is_err(), "{text}");
        }
        let damaged = cached(&json!({})).replace("\"config\":\"", "\"config\":\"!");
        assert!(CachedResult::parse(&damaged).is_err());
        assert!(CachedResult::parse(&cached(&json!({"plugins": [1, {"type": 2}]}))).unwrap().del.is_empty());
    }
}
