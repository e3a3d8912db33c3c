//! etcd's manifest, and what it tells of itself.
#![no_main]

use castoff_fuzz::{formats::etcd, text, with_parameter};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    if let Some(found) = etcd::in_manifest("/etc/kubernetes/manifests/etcd.yaml", &text) {
        assert!(found.metrics.is_none_or(|url| url.starts_with("http://") && !url.ends_with('/')));
        // Nothing of the host without a folder in the container.
        assert!(found.health.is_none() && found.unseen.is_empty());
    }
    let (health, metrics) = with_parameter(&text, "etcd_server_has_leader 1\netcd_debugging_mvcc_current_revision 7\n");
    let told = etcd::health((200, health), metrics);
    // Whoever does not answer with 200 is not healthy, whatever is said.
    let refused = etcd::health((503, health), metrics);
    assert!(!refused.healthy);
    assert_eq!((told.has_leader, told.revision), (refused.has_leader, refused.revision));
});
