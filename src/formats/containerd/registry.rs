//! The registry tables that came before `hosts.toml`: `mirrors`, `configs`, `auths`, `headers`.
//!
//! containerd 1.5 brought `config_path`; beside it `mirrors` and (until 2.0) `configs.*.tls` keep the CRI plugin from
//! loading. From 2.0 on `configs.*.tls` is ignored without a word.

use super::{At, ContainerdConfig};
use toml_edit::{Item, TableLike};

/// What the old tables say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OldRegistry {
    /// `mirrors`, in the file's order.
    pub mirrors: Vec<Mirror>,
    /// `configs`, in the file's order.
    pub configs: Vec<HostConfig>,
    /// Endpoints of `auths`.
    pub auths: Vec<At<String>>,
    /// Names of `headers`, which stay in force beside `config_path`.
    pub headers: Vec<At<String>>,
}

/// One registry of `mirrors`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mirror {
    /// The registry; `*` for all that have no entry.
    pub host: At<String>,
    /// Its endpoints as written.
    pub endpoints: Vec<String>,
}

/// One host of `configs`.
#[derive(Clone, Debug, PartialEq)]
pub struct HostConfig {
    /// The host of an endpoint, with its port if it has one.
    pub host: At<String>,
    /// Its `tls` table.
    pub tls: Option<ClientTls>,
    /// True when it has an `auth` table.
    pub auth: bool,
}

/// The `tls` table of a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientTls {
    /// `ca_file`.
    pub ca: Option<String>,
    /// `cert_file`.
    pub cert: Option<String>,
    /// `key_file`.
    pub key: Option<String>,
    /// `insecure_skip_verify`.
    pub skip_verify: bool,
}

impl ContainerdConfig {
    /// The old registry tables.
    pub fn old_registry(&self) -> OldRegistry {
        let base = self.places().images(&["registry"]);
        let entries = |name: &str| -> Vec<(At<String>, &Item)> {
            let path = [&base[..], &[name]].concat();
            let table = self.table(&path).map(TableLike::iter).into_iter().flatten();
            table.map(|(key, item)| (At::new(key.to_owned(), self.line(item)), item)).collect()
        };
        let names = |name: &str| entries(name).into_iter().map(|(host, _)| host).collect();
        OldRegistry {
            mirrors: entries("mirrors")
                .into_iter()
                .map(|(host, item)| Mirror { host, endpoints: texts(item.get("endpoint")) })
                .collect(),
            configs: entries("configs")
                .into_iter()
                .map(|(host, item)| HostConfig {
                    host,
                    tls: item.get("tls").and_then(Item::as_table_like).map(client_tls),
                    auth: item.get("auth").is_some(),
                })
                .collect(),
            auths: names("auths"),
            headers: names("headers"),
        }
    }
}

fn texts(item: Option<&Item>) -> Vec<String> {
    let array = item.and_then(Item::as_array).into_iter().flatten();
    array.filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

fn client_tls(table: &dyn TableLike) -> ClientTls {
    let text = |key: &str| table.get(key).and_then(Item::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    ClientTls {
        ca: text("ca_file"),
        cert: text("cert_file"),
        key: text("key_file"),
        skip_verify: table.get("insecure_skip_verify").and_then(Item::as_bool).unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_in_every_schema_and_spelling() {
        for (version, base) in [
            ("", "plugins.cri"),
            ("version = 2\n", "plugins.\"io.containerd.grpc.v1.cri\""),
            ("version = 3\n", "plugins.'io.containerd.cri.v1.images'"),
        ] {
            let text = format!(
                "{version}[{base}.registry.mirrors.\"docker.io\"]\nendpoint = [\"https://m\", \"https://n/v2\"]\n\
                 [{base}.registry]\nheaders = {{ X-A = [\"b\"] }}\n\
                 configs.\"r:5000\".tls = {{ ca_file = \"/c\", cert_file = \"\", insecure_skip_verify = true }}\n\
                 configs.\"r:5000\".auth.username = \"u\"\n"
            );
            let old = ContainerdConfig::parse(&text).unwrap().old_registry();
            assert_eq!(old.mirrors[0].host.value, "docker.io");
            assert_eq!(old.mirrors[0].endpoints, ["https://m", "https://n/v2"]);
            assert_eq!(old.headers[0].value, "X-A");
            let config = &old.configs[0];
            assert_eq!((config.host.value.as_str(), config.auth), ("r:5000", true));
            let tls = ClientTls { ca: Some("/c".into()), skip_verify: true, ..ClientTls::default() };
            assert_eq!(config.tls, Some(tls));
        }
        assert_eq!(ContainerdConfig::parse("version = 2\n").unwrap().old_registry(), OldRegistry::default());
    }
}
