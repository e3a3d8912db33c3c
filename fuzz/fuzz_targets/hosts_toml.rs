//! containerd's `hosts.toml`: reading it, and adding a mirror.
#![no_main]

use castoff_fuzz::{
    formats::hosts_toml::{HostOptions, HostsTarget, HostsToml, new_file, plain},
    place, refused, text,
};
use libfuzzer_sys::fuzz_target;

const MIRROR: &str = "http://10.0.2.15:5000";

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    plain(&text);
    let file = match HostsToml::parse(&text) {
        Ok(file) => file,
        Err(error) => return place(&error, &text),
    };
    assert_eq!(file.text(), text);
    let options = HostOptions { capabilities: vec!["pull".into(), "resolve".into()], ..HostOptions::default() };
    let target = HostsTarget {
        server: Some("https://registry-1.docker.io".into()),
        options: HostOptions { skip_verify: Some(true), ..HostOptions::default() },
        hosts: vec![(MIRROR.into(), options)],
    };
    assert!(new_file(&target).is_ok());
    match file.with(&target) {
        Ok(out) => {
            let after = HostsToml::parse(&out).unwrap();
            assert!(after.server.is_some() && after.options.skip_verify.is_some(), "{text:?} {out:?}");
            assert!(after.hosts.iter().any(|host| plain(&host.url.value) == MIRROR), "{text:?} {out:?}");
            assert!(after.hosts.len() <= file.hosts.len() + 1);
            assert_eq!(after.with(&target).unwrap(), out, "{text:?}");
        }
        Err(error) => refused(&error, &text),
    }
    if let Err(error) = file.moved_from("/etc/docker/certs.d/x") {
        refused(&error, &text);
    }
});
