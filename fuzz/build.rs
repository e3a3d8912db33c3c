//! Takes the reader of Docker's answers out of the room `host`, which as a whole needs half of the crates there are: the
//! file is copied without its submodules and its tests.

use std::{env, fs, path::Path};

const SOURCE: &str = "../src/host/engine.rs";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    let text = fs::read_to_string(SOURCE).expect("the checkout is complete");
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let submodules: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).collect();
    let kept = text.lines().filter(|line| {
        let of_submodule = submodules.iter().any(|sub| line.starts_with(&format!("pub use {sub}::")));
        !(line.starts_with("//!") || line.starts_with("mod ") || of_submodule)
    });
    let kept: Vec<&str> = kept.collect();
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("engine.rs"), kept.join("\n")).expect("the folder is cargo's own");
}
