//! Masking of credentials in text that leaves the machine.
#![no_main]

use castoff_fuzz::{model::mask_text, text};
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "hunter2hunter2";

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let shown = mask_text(&text);
    assert_eq!(shown.matches('\n').count(), text.matches('\n').count());
    // Whatever stands in front of it, a credential on a line of its own is masked.
    let open = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let shown = mask_text(&format!("{text}{open}proxy=http://u:{SECRET}@h/\npassword = \"{SECRET}\"\n"));
    assert!(text.contains(SECRET) || !shown.contains(SECRET), "{text:?}");
});
