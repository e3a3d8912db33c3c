//! Builds the workload of castoff's own containers (`probe/`), which castoff carries inside: a program without C
//! library for the same kind of machine.
#![allow(clippy::disallowed_methods, reason = "a build script reads its environment and runs the compiler")]

use flate2::{Compression, write::GzEncoder};
use std::{env, fs, io::Write as _, path::PathBuf, process::Command};

fn main() {
    schemas();
    println!("cargo::rerun-if-changed=probe");
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo did not set {name}"));
    let out = PathBuf::from(variable("OUT_DIR")).join("probe");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition=2024", "--crate-name=probe", "--crate-type=bin", "--target", &variable("TARGET")]);
    rustc.args(["-Copt-level=s", "-Cpanic=abort", "-Cstrip=symbols", "-Ccodegen-units=1", "-Crelocation-model=static"]);
    rustc.args(["-Cdebuginfo=0", "-Clto=fat", "-Cdefault-linker-libraries=no"]);
    // No start files and no libraries; and nothing in the file that is not run: 4 kB pages keep it at a few of them.
    rustc.args(
        [
            "-nostartfiles",
            "-nostdlib",
            "-static",
            "-no-pie",
            "-Wl,--build-id=none,-z,noseparate-code,-z,norelro,-z,max-page-size=4096",
        ]
        .map(|arg| format!("-Clink-arg={arg}")),
    );
    if variable("TARGET").ends_with("musl") {
        // The compiler would add start files of its own, whatever the linker is told.
        rustc.arg("-Clink-self-contained=no");
    }
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    rustc.arg("-o").arg(&out).arg("probe/main.rs");
    let status = rustc.status().unwrap_or_else(|error| panic!("cannot run the compiler: {error}"));
    assert!(status.success(), "the workload in probe/ does not build");
}

/// Packs `schemas/*.json` into one object: they are text that hardly anybody asks for.
fn schemas() {
    println!("cargo::rerun-if-changed=schemas");
    let mut files: Vec<PathBuf> =
        fs::read_dir("schemas").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "json"));
    files.sort();
    let mut all = String::from("{");
    for (number, path) in files.iter().enumerate() {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a schema's name is text");
        let text = fs::read_to_string(path).expect("a schema can be read");
        // Indentation says nothing; no text in a schema goes over a line's end.
        let lines: String = text.lines().map(str::trim_start).collect();
        all.push_str(&format!("{}\"{name}\":{lines}", if number > 0 { "," } else { "" }));
    }
    all.push('}');
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo did not set OUT_DIR")).join("schemas.json.gz");
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(all.as_bytes()).expect("memory can be written");
    fs::write(out, packed.finish().expect("memory can be written")).expect("the schemas can be packed");
}
