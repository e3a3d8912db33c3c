//! `/etc/os-release`.
#![no_main]

use castoff_fuzz::{formats::os_release, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let vars = os_release::parse(&text);
    let name = os_release::pretty_name(&text);
    assert!(!name.is_empty());
    if let Some(pretty) = vars.get("PRETTY_NAME").filter(|pretty| !pretty.is_empty()) {
        assert_eq!(*pretty, name);
    }
});
