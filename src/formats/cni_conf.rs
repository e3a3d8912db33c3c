//! CNI network configuration: a list (`.conflist`) or a single plugin's (`.conf`), as libcni reads it.

use super::FormatError;
use serde_json::Value;

/// What matters of a network's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkConf {
    /// Its name.
    pub name: String,
    /// The specification's version it is written for; absent where none is given.
    pub version: Option<String>,
    /// The programs it calls: plugins and address managers, each once, in order.
    pub plugins: Vec<String>,
}

impl NetworkConf {
    /// Reads a configuration.
    ///
    /// # Errors
    /// Text that is not JSON, or names no plugin.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let value: Value = serde_json::from_str(text).map_err(|error| FormatError::new(error.to_string()))?;
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let listed = value.get("plugins").and_then(Value::as_array);
        let single = std::slice::from_ref(&value);
        let mut plugins: Vec<String> = Vec::new();
        for plugin in listed.map_or(single, Vec::as_slice) {
            let manager = plugin.get("ipam").and_then(|ipam| text(ipam, "type"));
            // Plugins such as flannel and multus call others, which their own configuration may name.
            let delegate = plugin.get("delegate").and_then(|delegate| text(delegate, "type"));
            for name in text(plugin, "type").into_iter().chain(manager).chain(delegate) {
                if !name.is_empty() && !plugins.contains(&name) {
                    plugins.push(name);
                }
            }
        }
        if plugins.is_empty() {
            return Err(FormatError::new("no plugin is named in it"));
        }
        Ok(Self { name: text(&value, "name").unwrap_or_default(), version: text(&value, "cniVersion"), plugins })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_single_plugins() {
        let list = NetworkConf::parse(
            r#"{"name":"cbr0","cniVersion":"0.3.1","plugins":[{"type":"flannel","delegate":{"isDefaultGateway":true}},{"type":"portmap"},{"type":"portmap"}]}"#,
        )
        .unwrap();
        assert_eq!((list.name.as_str(), list.version.as_deref()), ("cbr0", Some("0.3.1")));
        assert_eq!(list.plugins, ["flannel", "portmap"]);
        let one = NetworkConf::parse(r#"{"name":"x","type":"bridge","ipam":{"type":"host-local"}}"#).unwrap();
        assert_eq!((one.version, one.plugins), (None, vec!["bridge".to_owned(), "host-local".to_owned()]));
        for wrong in ["", "[]", "{}", r#"{"plugins":[]}"#, r#"{"type":3}"#] {
            assert!(NetworkConf::parse(wrong).is_err(), "{wrong}");
        }
    }
}
