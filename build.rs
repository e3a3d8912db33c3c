//! Builds the workload of castoff's own containers (`probe/`), which castoff carries inside: a program without C
//! library for the same kind of machine.
#![allow(clippy::disallowed_methods, reason = "a build script reads its environment and runs the compiler")]

use std::{env, path::PathBuf, process::Command};

fn main() {
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
