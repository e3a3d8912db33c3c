//! containerd's `config.toml`: the edit that makes it fit Kubernetes.
#![no_main]

use castoff_fuzz::{
    formats::containerd::{ContainerdConfig, CriTarget, Literal, Place, Setting},
    refused, text,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let Ok(config) = ContainerdConfig::parse(&text) else { return };
    let settings = [
        Setting {
            place: Place::Images(vec!["registry".into(), "config_path".into()]),
            value: Some(Literal::Text("/etc/containerd/certs.d".into())),
        },
        Setting { place: Place::Top(vec!["root".into()]), value: Some(Literal::Text("/srv/it's \"\\".into())) },
        Setting { place: Place::Runtime(vec!["enable_unprivileged_ports".into()]), value: Some(Literal::Bool(true)) },
        Setting { place: Place::Handler("nvidia".into(), vec!["options".into(), "Root".into()]), value: None },
    ];
    let target = CriTarget {
        schema: config.schema().clamp(2, 4),
        systemd_cgroup: true,
        sandbox_image: Some("registry.k8s.io/pause:3.9"),
        cni_bin_dir: Some("/opt/cni/bin"),
        cni_conf_dir: None,
        settings: &settings,
    };
    match config.with_cri(&target) {
        Ok(out) => {
            let after = ContainerdConfig::parse(&out).unwrap();
            assert_eq!(after.schema(), target.schema);
            assert!(after.cri_disabled_by().is_empty());
            assert_eq!(after.sandbox_image().unwrap().value, "registry.k8s.io/pause:3.9");
            assert_eq!(after.root().unwrap().value, "/srv/it's \"\\");
            for handler in after.runtimes().iter().filter(|handler| handler.is_runc()) {
                assert!(handler.systemd_cgroup.as_ref().is_some_and(|at| at.value), "{text:?} {out:?}");
            }
            assert_eq!(after.with_cri(&target).unwrap(), out, "{text:?}");
        }
        Err(error) => refused(&error, &text),
    }
});
