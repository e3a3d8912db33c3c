//! Takes the readers of Docker's and the kernel's answers out of the room `host`, which as a whole needs half of the
//! crates there are: the files are copied without their submodules and their tests.

use std::{env, fs, path::Path};

fn main() {
    let out = env::var("OUT_DIR").expect("cargo sets it");
    for name in ["engine", "procs"] {
        let source = format!("../src/host/{name}.rs");
        println!("cargo::rerun-if-changed={source}");
        let text = fs::read_to_string(&source).expect("the checkout is complete");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let submodules: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).collect();
        let kept = text.lines().filter(|line| {
            let of_submodule = submodules.iter().any(|sub| line.starts_with(&format!("pub use {sub}::")));
            !(line.starts_with("//!") || line.starts_with("mod ") || of_submodule)
        });
        let kept: Vec<&str> = kept.collect();
        fs::write(Path::new(&out).join(format!("{name}.rs")), kept.join("\n")).expect("the folder is cargo's own");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
