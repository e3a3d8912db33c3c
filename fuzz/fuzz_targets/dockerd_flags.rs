//! dockerd's command line.
#![no_main]

use castoff_fuzz::{
    formats::{
        dockerd::{exec_opts, file_key, merged, parse},
        kubelet_flags::split_words,
    },
    text,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let words = split_words(&text(data));
    let flags = parse(&words);
    for flag in &flags {
        // `--=x`, which dockerd refuses, is a flag without a name.
        assert!(words.get(flag.at).is_some_and(|word| !flag.name.is_empty() || word.starts_with("--=")));
        file_key(flag.key(), Some((20, 10)));
        let values: Vec<String> =
            flags.iter().filter(|other| other.name == flag.name).filter_map(|other| other.value.clone()).collect();
        if let Some(option) = flag.option {
            exec_opts(&merged(option.shape, &values));
        }
    }
});
