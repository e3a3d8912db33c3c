//! CNI network configurations, and CRI-O's configuration.
#![no_main]

use castoff_fuzz::{
    formats::{cni_conf::NetworkConf, crio},
    place, text,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    if let Err(error) = NetworkConf::parse(&text) {
        place(&error, &text);
    }
    if let Err(error) = crio::cgroup_manager(&text) {
        place(&error, &text);
    }
});
