//! dpkg's status file and the versions in it.
#![no_main]

use castoff_fuzz::{formats::package_db::*, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let found = dpkg_version(&text, "kubelet");
    assert!(found.is_none_or(|at| at.line >= 1 && at.line as usize <= text.lines().count()));
    let upstream = upstream_version(&text);
    assert!(text.contains(&upstream));
    // Without an epoch it is read off the front: taking it again takes nothing more.
    assert!(upstream_version(&upstream).len() <= upstream.len());
    version_pair(&text);
    version_pair(&upstream);
});
