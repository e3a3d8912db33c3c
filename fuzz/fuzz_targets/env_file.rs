//! Environment files: reading them, and setting one variable without touching the others.
#![no_main]

use castoff_fuzz::{formats::env_file::parse, text, with_parameter};
use libfuzzer_sys::fuzz_target;

const NAME: &str = "KUBELET_KUBEADM_ARGS";

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let (text, value) = with_parameter(&text, "--a=b --c=\"d e\"");
    let file = parse(text);
    let others = |file: &castoff_fuzz::formats::env_file::EnvFile| {
        file.vars().into_iter().filter(|(name, _)| name != NAME).map(|(name, at)| (name, at.value)).collect::<Vec<_>>()
    };
    for line in file.unreadable_lines() {
        assert!(line.line >= 1);
    }
    let out = file.with(NAME, value);
    let after = parse(&out);
    assert_eq!(after.get(NAME).map(|at| at.value).as_deref(), Some(value), "{text:?} {out:?}");
    assert_eq!(others(&after), others(&file), "{text:?} {out:?}");
    assert_eq!(after.with(NAME, value), out, "{text:?}");
});
