//! `crictl.yaml`: setting both endpoints.
#![no_main]

use castoff_fuzz::{formats::crictl, refused, text};
use libfuzzer_sys::fuzz_target;

const ENDPOINT: &str = "unix:///run/containerd/containerd.sock";

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    if crictl::parse(&text).is_err() {
        return;
    }
    match crictl::with_endpoint(Some(&text), ENDPOINT) {
        Ok(out) => {
            let after = crictl::parse(&out).unwrap();
            assert_eq!(after.runtime_endpoint().unwrap().value, ENDPOINT, "{text:?} {out:?}");
            assert_eq!(after.image_endpoint().unwrap().value, ENDPOINT, "{text:?} {out:?}");
            assert_eq!(crictl::with_endpoint(Some(&out), ENDPOINT).unwrap(), out, "{text:?}");
        }
        Err(error) => refused(&error, &text),
    }
});
