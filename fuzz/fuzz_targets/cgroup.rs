//! `/proc/PID/cgroup`.
#![no_main]

use castoff_fuzz::{formats::cgroup_file::parse_cgroup, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let lines = parse_cgroup(&text);
    assert!(lines.len() <= text.lines().count());
    for line in lines {
        assert!(text.contains(&line.path));
        assert!(line.controllers.iter().all(|name| !name.is_empty() && !name.contains(':')));
    }
});
