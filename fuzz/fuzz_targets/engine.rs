//! What dockerd answers over HTTP.
#![no_main]

use castoff_fuzz::engine::{container_pid, parse_containers, parse_images, parse_version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(version) = parse_version(data) {
        // castoff keeps it as JSON in its own documents and reads it back.
        let kept = serde_json::to_vec(&version).unwrap();
        assert_eq!(parse_version(&kept).unwrap(), version);
    }
    if let Ok(containers) = parse_containers(data) {
        for container in &containers {
            container.is_kubernetes();
            container.is_alive();
        }
    }
    if let Ok(images) = parse_images(data) {
        assert!(images.iter().all(|image| !image.repo_tags.iter().any(|tag| tag.contains("<none>"))));
    }
    if let Ok(inspect) = serde_json::from_slice(data) {
        assert_ne!(container_pid(&inspect), Some(0));
    }
});
