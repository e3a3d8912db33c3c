//! systemd units: words of a command line changed in place, settings added.
#![no_main]

use castoff_fuzz::{
    formats::{
        unit_edit::{Op, edit_value, raw_words, with_settings, with_value, with_words, written},
        unit_file::{UnitFile, parse, split_exec},
    },
    text,
};
use libfuzzer_sys::fuzz_target;

fn entries(file: &UnitFile) -> Vec<(String, String, String)> {
    file.entries().iter().map(|e| (e.section.clone(), e.key.clone(), e.value.clone())).collect()
}

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let file = parse(&text);
    let before = entries(&file);
    let out = with_settings(&text, "Service", &[("LimitNOFILE", "1048576")]);
    let after = entries(&parse(&out));
    assert_eq!(after.len(), before.len() + 1, "{text:?} {out:?}");
    assert!(after.iter().any(|e| e.0 == "Service" && e.1 == "LimitNOFILE" && e.2 == "1048576"), "{text:?} {out:?}");
    for (index, entry) in file.entries().iter().enumerate() {
        let words = raw_words(&entry.value);
        assert_eq!(edit_value(&entry.value, &vec![Op::Keep; words.len()], &[]), entry.value);
        // What may be refused must not be wrong: the other settings stay.
        let mut ops = vec![Op::Keep; words.len()];
        if let Some(last) = ops.last_mut() {
            *last = if index % 2 == 0 { Op::Drop } else { Op::Set(written("--a=b c%")) };
        }
        for out in [with_words(&text, entry.line, &ops, &["--last".into()]), with_value(&text, entry.line, "/x")] {
            let Ok(out) = out else { continue };
            let after = entries(&parse(&out));
            assert_eq!(after.len(), before.len(), "{text:?} {out:?}");
            let others = |entries: &[(String, String, String)]| {
                entries.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, e)| e.clone()).collect::<Vec<_>>()
            };
            assert_eq!(others(&after), others(&before), "{text:?} {out:?}");
            split_exec(&after[index].2);
        }
    }
});
