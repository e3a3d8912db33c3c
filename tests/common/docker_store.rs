//! Docker's store on disk, driver overlay2, with images of a few small files.

use super::tree::{put, set_mode};
use castoff::model::Digest;
use std::{collections::BTreeMap, io::Write as _, path::Path};

/// Where it is.
pub const SOURCE: &str = "/var/lib/docker";

/// A layer: its files and their content.
pub type Files<'a> = &'a [(&'a str, &'a str)];

pub fn sha(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

fn tar_of(files: Files<'_>) -> (Vec<u8>, String) {
    let mut archive = Vec::new();
    let mut lines = String::new();
    let encode = |bytes: &[u8]| base64_of(bytes);
    for (at, (name, content)) in files.iter().enumerate() {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).unwrap();
        header.set_size(content.len() as u64);
        header.set_mode(0o640);
        header.set_cksum();
        let padding = vec![0; (512 - content.len() % 512) % 512];
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(content.as_bytes());
        archive.extend_from_slice(&padding);
        let header = encode(header.as_bytes());
        lines.push_str(&format!("{{\"type\":2,\"payload\":\"{header}\",\"position\":{}}}\n", at * 3));
        let size = content.len();
        lines.push_str(&format!(
            "{{\"type\":1,\"name\":\"{name}\",\"size\":{size},\"payload\":\"\",\"position\":{}}}\n",
            at * 3 + 1
        ));
        lines.push_str(&format!("{{\"type\":2,\"payload\":\"{}\",\"position\":{}}}\n", encode(&padding), at * 3 + 2));
    }
    let end = vec![0; 1024];
    archive.extend_from_slice(&end);
    lines.push_str(&format!("{{\"type\":2,\"payload\":\"{}\",\"position\":99}}\n", encode(&end)));
    (archive, lines)
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

/// Lays out images, each by its name and the layers (by their number) it is made of; their ids.
pub fn lay(root: &Path, layers: &[Files<'_>], images: &[(&str, &[usize])]) -> Vec<String> {
    let made: Vec<(String, String)> = layers
        .iter()
        .map(|files| {
            let (archive, lines) = tar_of(files);
            (sha(&archive), lines)
        })
        .collect();
    let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut ids = Vec::new();
    for (name, stack) in images {
        let diff_ids: Vec<&str> = stack.iter().map(|at| made[*at].0.as_str()).collect();
        let rootfs = serde_json::json!({"type": "layers", "diff_ids": diff_ids});
        let config = serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).to_string();
        let id = sha(config.as_bytes());
        put(root, &format!("{SOURCE}/image/overlay2/imagedb/content/sha256/{}", &id[7..]), config.as_bytes());
        let mut below = String::new();
        for at in *stack {
            let (diff, lines) = &made[*at];
            let chain = if below.is_empty() { diff.clone() } else { sha(format!("{below} {diff}").as_bytes()) };
            lay_layer(root, layers[*at], (&chain, diff, lines), &format!("cache{at}"));
            below = chain;
        }
        let repository = name.rsplit_once(':').unwrap().0.to_owned();
        repositories.entry(repository).or_default().insert((*name).to_owned(), id.clone());
        ids.push(id);
    }
    let names = serde_json::json!({"Repositories": repositories}).to_string();
    put(root, &format!("{SOURCE}/image/overlay2/repositories.json"), names);
    ids
}

fn lay_layer(root: &Path, files: Files<'_>, (chain, diff, lines): (&str, &str, &str), cache: &str) {
    let layer = format!("{SOURCE}/image/overlay2/layerdb/sha256/{}", &chain[7..]);
    put(root, &format!("{layer}/diff"), diff);
    put(root, &format!("{layer}/cache-id"), cache);
    put(root, &format!("{layer}/size"), "10");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(lines.as_bytes()).unwrap();
    put(root, &format!("{layer}/tar-split.json.gz"), gz.finish().unwrap());
    for (name, content) in files {
        let path = format!("{SOURCE}/overlay2/{cache}/diff/{name}");
        put(root, &path, content);
        set_mode(root, &path, 0o640);
    }
}
