//! `sysctl.d` and `modules-load.d`.
#![no_main]

use castoff_fuzz::{formats::boot_files::*, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let lines = text.lines().count();
    assert!(sysctls(&text).iter().all(|found| found.line >= 1 && found.line as usize <= lines));
    assert!(modules(&text).iter().all(|found| found.line >= 1 && found.line as usize <= lines));
    let paths: Vec<String> = text.lines().map(str::to_owned).collect();
    let order = in_order(paths.clone());
    assert!(order.iter().all(|path| paths.contains(path)));
    assert_eq!(in_order(order.clone()), order);
});
