//! systemd units and drop-ins, the command lines and the assignments in them.
#![no_main]

use castoff_fuzz::{formats::unit_file::*, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = text(data);
    let file = parse(&text);
    let lines = text.lines().count();
    let env = |name: &str| (!name.is_empty()).then(|| format!("a '{name}' \"b c\" \\"));
    for entry in file.entries() {
        assert!(entry.line >= 1 && entry.line as usize <= lines, "{entry:?}");
        let exec = split_exec(&entry.value);
        exec.argv(&env);
        for (name, _) in environment_assignments(&entry.value) {
            assert!(!name.is_empty() && !name.contains(['=', ' ']));
        }
        // An assignment that is not empty counts, in whatever file it stands.
        let found = effective(&[("/lib/a", &file), ("/etc/b", &file)], &entry.section, &entry.key);
        assert!(found.len() <= 2 * file.entries().len());
    }
    for line in file.unreadable_lines() {
        assert!(line.line >= 1 && line.line as usize <= lines, "{line:?}");
    }
    let paths: Vec<(&str, bool)> = text.lines().map(|line| (line, line.len() % 5 == 4)).collect();
    let order = order_drop_ins(&paths);
    assert!(order.len() <= paths.len());
    assert!(order.iter().all(|path| path.ends_with(".conf")));
});
