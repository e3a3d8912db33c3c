//! `/proc/self/mountinfo`, `/etc/fstab` and mount units.
#![no_main]

use castoff_fuzz::{formats::mounts::*, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let lines = text.lines().count();
    for mounts in [mountinfo(&text), fstab(&text)] {
        assert!(mounts.iter().all(|mount| mount.line >= 1 && mount.line as usize <= lines));
        if let Some(found) = holder(&mounts, "/var/lib/containerd") {
            assert!("/var/lib/containerd".starts_with(&found.point));
        }
    }
    assert!(mount_unit(&text).is_none_or(|mount| mount.point.starts_with('/')));
});
