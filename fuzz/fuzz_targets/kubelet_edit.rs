//! KubeletConfiguration: setting and removing top-level scalars.
#![no_main]

use castoff_fuzz::{formats::kubelet_config::KubeletConfig, refused, text};
use libfuzzer_sys::fuzz_target;

const CHANGES: [(&str, Option<&str>); 4] = [
    ("cgroupDriver", Some("systemd")),
    ("containerRuntimeEndpoint", Some("unix:///run/containerd/containerd.sock")),
    ("maxPods", None),
    ("failSwapOn", Some("true")),
];

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let Ok(config) = KubeletConfig::parse(&text) else { return };
    match config.with(&CHANGES) {
        Ok(out) => {
            let after = KubeletConfig::parse(&out).unwrap();
            for (key, value) in CHANGES {
                assert_eq!(after.string(key).map(|at| at.value).as_deref(), value, "{text:?} {out:?}");
            }
            assert_eq!(after.with(&CHANGES).unwrap(), out, "{text:?}");
        }
        Err(error) => refused(&error, &text),
    }
});
