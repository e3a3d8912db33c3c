//! What dpkg, apt and rpm say of packages.
#![no_main]

use castoff_fuzz::{formats::packages::*, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    dpkg(&text, &["docker.io", "containerd.io"]);
    automatic(&text);
    rpm(&text);
    assert!(unattended(&text).is_none_or(|at| at.line >= 1 && at.line as usize <= text.lines().count()));
});
