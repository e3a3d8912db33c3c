//! The host paths a pod's manifest mounts.
#![no_main]

use castoff_fuzz::{formats::host_paths, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for path in host_paths::of_manifest(&text(data)) {
        host_paths::reach(&path, "/var/lib/docker");
    }
});
