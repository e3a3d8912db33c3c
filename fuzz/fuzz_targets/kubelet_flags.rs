//! kubelet's command line: words, flags, and taking flags out and putting them in.
#![no_main]

use castoff_fuzz::{
    formats::kubelet_flags::{Flag, for_endpoint, parse, rewrite, split_words},
    text,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let words = split_words(&text);
    let flags = parse(&words);
    assert_eq!(flags.iter().map(|flag| flag.words).sum::<usize>(), words.len(), "{text:?}");
    let minor = u32::from(data.first().copied().unwrap_or(20) % 20) + 18;
    let (remove, set) = for_endpoint((1, minor), "/run/containerd/containerd.sock");
    let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let out = rewrite(&text, &remove, &set);
    let after = parse(&split_words(&out));
    // Behind a lone `--` nothing is a flag, so nothing can be said there.
    if flags.iter().any(|flag| flag.value.as_deref() == Some("--")) {
        return;
    }
    let touched = |flag: &&Flag| remove.contains(&flag.name.as_str()) || set.iter().any(|(name, _)| *name == flag.name);
    for (name, value) in &set {
        let found: Vec<_> = after.iter().filter(|flag| flag.name == *name).collect();
        assert!(found.len() == 1 && found[0].value.as_deref() == Some(value), "{text:?} {out:?}");
    }
    assert!(!after.iter().any(|flag| remove.contains(&flag.name.as_str()) && set.iter().all(|s| s.0 != flag.name)));
    // A flag that lacks its value in front of one that goes finds another word there afterwards; kubelet does not start
    // on either.
    if flags.windows(2).any(|pair| pair[0].value.is_none() && touched(&&pair[1])) {
        return;
    }
    let others = |flags: &[Flag]| -> Vec<(String, Option<String>)> {
        flags.iter().filter(|flag| !touched(flag)).map(|flag| (flag.name.clone(), flag.value.clone())).collect()
    };
    assert_eq!(others(&after), others(&flags), "{text:?} {out:?}");
    assert_eq!(rewrite(&out, &remove, &set), out, "{text:?}");
});
