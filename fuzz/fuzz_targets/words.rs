//! Small words of profiles and of the command line: lengths of time, cgroup drivers and modes, versions, `--assume`.
#![no_main]

use castoff_fuzz::{
    formats::package_db::version_pair,
    model::{Assumptions, CgroupDriver, CgroupMode, Span},
    text,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    if let Ok(span) = text.parse::<Span>() {
        assert_eq!(span.to_string().parse::<Span>(), Ok(span), "{text:?}");
    }
    if let Ok(driver) = text.parse::<CgroupDriver>() {
        assert_eq!(driver.to_string(), text);
    }
    let _ = text.parse::<CgroupMode>();
    version_pair(&text);
    let mut assumptions = Assumptions::default();
    let _ = assumptions.set(&text);
});
