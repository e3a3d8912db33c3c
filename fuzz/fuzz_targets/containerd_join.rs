//! containerd's effective configuration: a file and a drop-in it imports, joined by the rules of a release.
#![no_main]

use castoff_fuzz::{
    formats::containerd::{Effective, Release, segment_meets},
    text, with_parameter,
};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;

const RELEASES: [&str; 6] = ["1.4.13", "1.6.20", "1.7.24", "2.0.5", "2.1.9", "2.3.1"];

fuzz_target!(|data: &[u8]| {
    let Some((pick, data)) = data.split_first() else { return };
    let text = text(data);
    let release = Release::parse(RELEASES[usize::from(*pick) % RELEASES.len()]).unwrap();
    // What stands behind a NUL is the drop-in.
    let (main, drop_in) = with_parameter(&text, "version = 2\nroot = '/x'\n");
    let main = format!("imports = ['/etc/containerd/conf.d/*.toml']\n{main}");
    let texts = BTreeMap::from([
        ("/etc/containerd/config.toml".to_owned(), main),
        ("/etc/containerd/conf.d/a.toml".to_owned(), drop_in.to_owned()),
    ]);
    segment_meets(drop_in, "a.toml");
    let Ok(config) = Effective::join("/etc/containerd/config.toml", release, &texts) else { return };
    for handler in config.handlers() {
        handler.is_runc();
    }
    config.disabled_plugins();
    config.required_plugins();
    config.cri_disabled_by();
    config.root();
    config.default_runtime();
    config.sandbox_image();
    config.snapshotter();
    config.cni_bin_dirs();
    config.registry_tables();
    config.proxy_plugins();
    config.ineffective();
    config.legacy();
    config.faults();
    config.cri_winner();
});
