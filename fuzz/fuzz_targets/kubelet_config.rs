//! KubeletConfiguration: reading it.
#![no_main]

use castoff_fuzz::{formats::kubelet_config::KubeletConfig, place, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    match KubeletConfig::parse(&text) {
        Ok(config) => {
            config.kind();
            for key in config.keys() {
                config.string(&key.value);
                config.nested(&key.value, "enabled");
            }
            assert_eq!(config.with(&[]).unwrap(), text);
        }
        Err(error) => place(&error, &text),
    }
});
