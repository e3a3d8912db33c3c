//! kubelet's kubeconfig, or one that somebody gave.
#![no_main]

use castoff_fuzz::{
    formats::kubeconfig::{Identity, Kubeconfig, Material},
    text,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match Kubeconfig::parse(&text(data), "/etc/kubernetes/kubelet.conf") {
        Ok(config) => {
            assert!(config.server.starts_with("https://"), "{}", config.server);
            assert!(config.server_name.is_none_or(|name| !name.is_empty()));
            let absolute = |material: &Material| match material {
                Material::File(path) => assert!(path.starts_with('/'), "{path}"),
                Material::Inline(_) => {}
            };
            config.authority.iter().for_each(absolute);
            match &config.identity {
                Identity::Certificate { certificate, key } => [certificate, key].into_iter().for_each(absolute),
                Identity::Token(token) => absolute(token),
            }
        }
        Err(why) => assert!(!why.is_empty() && !why.ends_with('.'), "{why}"),
    }
});
