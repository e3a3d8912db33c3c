//! `crictl.yaml`: reading it.
#![no_main]

use castoff_fuzz::{formats::crictl, place, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    match crictl::parse(&text) {
        Ok(file) => {
            assert!(file.runtime_endpoint().is_none_or(|at| !at.value.is_empty()));
            file.image_endpoint();
        }
        Err(error) => place(&error, &text),
    }
});
