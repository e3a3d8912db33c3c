//! `daemon.json`: reading it, and setting an option of `exec-opts`.
#![no_main]

use castoff_fuzz::{formats::daemon_json::DaemonJson, place, refused, text};
use libfuzzer_sys::fuzz_target;

const NAME: &str = "native.cgroupdriver";

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let file = match DaemonJson::parse(&text) {
        Ok(file) => file,
        Err(error) => return place(&error, &text),
    };
    let lines = text.lines().count();
    let entries = file.entries();
    for (key, value, line) in &entries {
        assert!(*line >= 1 && *line as usize <= lines);
        assert_eq!(file.value(key).unwrap().value, value);
    }
    match file.with_exec_opt(NAME, "systemd") {
        Ok(out) => {
            let after = DaemonJson::parse(&out).unwrap();
            assert_eq!(after.exec_opt(NAME).unwrap().value, "systemd", "{text:?} {out:?}");
            let others = |entries: Vec<(String, serde_json::Value, u32)>| {
                entries.into_iter().filter(|e| e.0 != "exec-opts").map(|e| (e.0, e.1)).collect::<Vec<_>>()
            };
            assert_eq!(others(after.entries()), others(entries), "{text:?} {out:?}");
            assert_eq!(after.with_exec_opt(NAME, "systemd").unwrap(), out, "{text:?}");
        }
        Err(error) => refused(&error, &text),
    }
});
