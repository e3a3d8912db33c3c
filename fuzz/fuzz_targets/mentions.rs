//! Scripts, units and cron tables that may use Docker, and what a mounted path of the host reaches.
#![no_main]

use castoff_fuzz::{
    formats::{host_paths, mentions},
    text,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let lines = text.lines().count();
    for at in mentions::in_script(&text) {
        assert!(at.line >= 1 && at.line as usize <= lines);
    }
    mentions::in_line(&text);
    mentions::of_data(&text, "/var/lib/docker");
    host_paths::reach(&text, "/var/lib/docker");
});
