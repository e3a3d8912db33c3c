//! Two configurations compared by what they say, whatever schema they are written in. The parser is `toml`, which
//! castoff's own editing does not use.

use super::node::Source;
use std::collections::BTreeMap;

const R1: &str = "io.containerd.grpc.v1.cri";
const RT: &str = "io.containerd.cri.v1.runtime";
const IM: &str = "io.containerd.cri.v1.images";

type Said = BTreeMap<Vec<String>, String>;

/// Settings of the source that the result does not have, or has with another value, and nobody meant that.
///
/// `hosts` is the text of every `hosts.toml` that is written beside it, where old registry tables may have gone.
pub fn lost(source: &Source, result: &str, hosts: &str) -> Vec<String> {
    let (before, after) = (said(&source.text), said(result));
    let mut wrong = Vec::new();
    for (key, value) in &before {
        let now = after.get(key).map_or("nothing", String::as_str);
        if now != value && !meant(key, value, now, hosts) {
            wrong.push(format!("{} = {value} became {now}", key.join(" / ")));
        }
    }
    wrong
}

/// What a migration changes on purpose.
fn meant(key: &[String], value: &str, now: &str, hosts: &str) -> bool {
    let words: Vec<&str> = key.iter().map(String::as_str).collect();
    match words.as_slice() {
        // What pods could do on Docker, they can do on containerd.
        ["version"]
        | ["cri", "enable_unprivileged_ports" | "enable_unprivileged_icmp" | "systemd_cgroup" | "sandbox_image"]
        | ["cri", "cni", "bin_dir" | "conf_dir"]
        | ["cri", "containerd", "runtimes", _, "options", "SystemdCgroup"] => true,
        ["disabled_plugins", name] => {
            [R1, RT, IM, "cri", "io.containerd.podsandbox.controller.v1.podsandbox"].contains(name)
        }
        // Docker's mirrors join those of containerd, here or in hosts.toml.
        ["cri", "registry", "mirrors", _, "endpoint"] => {
            let mut urls = value.split('"').filter(|word| word.contains("://")).map(|url| url.trim_end_matches('/'));
            urls.all(|url| now.contains(url) || hosts.contains(url))
        }
        ["cri", "registry", "config_path"] => value == "\"\"",
        // A shim that is gone, or none at all.
        ["cri", "containerd", "runtimes", _, "runtime_type"] => {
            value == "\"\"" || value.contains("io.containerd.runc.v1") || value.contains("runtime.v1.linux")
        }
        _ => false,
    }
}

fn said(text: &str) -> Said {
    let table: toml::Table = toml::from_str(text.trim_start_matches('\u{feff}')).unwrap();
    let schema = table.get("version").and_then(toml::Value::as_integer).unwrap_or(1);
    let mut flat = Vec::new();
    flatten(&toml::Value::Table(table), &mut Vec::new(), &mut flat);
    flat.into_iter().map(|(key, value)| (neutral(key, schema), value)).collect()
}

fn flatten(value: &toml::Value, path: &mut Vec<String>, out: &mut Vec<(Vec<String>, String)>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                path.push(key.clone());
                flatten(value, path, out);
                path.pop();
            }
        }
        // Each entry counts by itself: the lists at the top are sets.
        toml::Value::Array(items) if path.len() == 1 => {
            for item in items {
                let key = item.as_str().map_or_else(|| format!("{item:?}"), str::to_owned);
                out.push((vec![path[0].clone(), key], "listed".into()));
            }
        }
        toml::Value::String(text) => out.push((path.clone(), format!("{text:?}"))),
        value => out.push((path.clone(), format!("{value:?}"))),
    }
}

/// The key as if there were one schema: CRI's settings below `cri`, every other plugin under its newest name.
fn neutral(key: Vec<String>, schema: i64) -> Vec<String> {
    let words: Vec<&str> = key.iter().map(String::as_str).collect();
    let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    let cri = |rest: &[&str]| own(&[&["cri"], rest].concat());
    match words.as_slice() {
        // Schema 1 has short names there, too.
        ["disabled_plugins" | "required_plugins", name] if schema == 1 && !name.contains('.') => {
            vec![key[0].clone(), long(name)]
        }
        ["plugins", name, rest @ ..] => match (long(name).as_str(), rest) {
            (IM, ["pinned_images", "sandbox"]) => cri(&["sandbox_image"]),
            (IM, [name @ ("snapshotter" | "discard_unpacked_layers" | "disable_snapshot_annotations")]) => {
                cri(&["containerd", name])
            }
            (RT, ["cni", "bin_dirs"]) => cri(&["cni", "bin_dir"]),
            (R1 | RT | IM, rest) => cri(rest),
            ("io.containerd.monitor.v1.cgroups", rest) => {
                own(&[&["plugins", "io.containerd.monitor.task.v1.cgroups"], rest].concat())
            }
            ("io.containerd.internal.v1.restart", rest) => {
                own(&[&["plugins", "io.containerd.monitor.container.v1.restart"], rest].concat())
            }
            (name, rest) => own(&[&["plugins", name], rest].concat()),
        },
        _ => key,
    }
}

fn long(name: &str) -> String {
    let kind = match name {
        name if name.contains('.') => return name.to_owned(),
        "cgroups" => "io.containerd.monitor.v1",
        "linux" => "io.containerd.runtime.v1",
        "scheduler" => "io.containerd.gc.v1",
        "bolt" => "io.containerd.metadata.v1",
        "opt" | "restart" => "io.containerd.internal.v1",
        "overlayfs" | "native" | "btrfs" | "zfs" | "devmapper" | "aufs" => "io.containerd.snapshotter.v1",
        _ => "io.containerd.grpc.v1",
    };
    format!("{kind}.{name}")
}

#[test]
fn schemas_are_compared_by_what_they_say() {
    let old = "[plugins.cri]\nsandbox_image = 'p'\n[plugins.cri.containerd]\nsnapshotter = 'native'\n[plugins.cri.x]\ny = 1\n";
    let new = "version = 3\n[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'native'\n[plugins.'io.containerd.cri.v1.runtime'.x]\ny = 1\n";
    let source = Source { name: String::new(), text: old.to_owned() };
    assert_eq!(lost(&source, new, ""), Vec::<String>::new());
    assert_eq!(lost(&source, "version = 2\n", "").len(), 2);
}
