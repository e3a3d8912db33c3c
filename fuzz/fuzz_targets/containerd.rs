//! containerd's `config.toml`: reading it; what is printed is what was read.
#![no_main]

use castoff_fuzz::{formats::containerd::ContainerdConfig, place, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let config = match ContainerdConfig::parse(&text) {
        Ok(config) => config,
        Err(error) => return place(&error, &text),
    };
    assert_eq!(config.text(), text);
    let lines = text.lines().count() as u32 + 1;
    for handler in config.runtimes() {
        assert!(handler.line >= 1 && handler.line <= lines);
        handler.is_runc();
    }
    let lists = [
        config.disabled_plugins(),
        config.required_plugins(),
        config.imports(),
        config.cri_disabled_by(),
        config.cri_disabled_on(1),
        config.cni_bin_dir(),
        config.registry_tables(),
        config.foreign_schema_tables(),
    ];
    for at in lists.iter().flatten() {
        assert!(at.line >= 1 && at.line <= lines, "{at:?}");
    }
    config.root();
    config.state();
    config.grpc_address();
    config.default_runtime_name();
    config.sandbox_image();
    config.snapshotter();
    config.cni_conf_dir();
    config.registry_config_path();
    config.legacy_systemd_cgroup();
});
