//! `/etc/os-release`: which distribution a node runs.

use super::env_file;
use std::collections::BTreeMap;

/// The variables of the file. Its grammar is a part of the one of environment files.
pub fn parse(text: &str) -> BTreeMap<String, String> {
    env_file::parse(text).vars().into_iter().map(|(name, at)| (name, at.value)).collect()
}

/// The name for people: `PRETTY_NAME`, else `NAME` with `VERSION_ID`, else os-release(5)'s default.
pub fn pretty_name(text: &str) -> String {
    let vars = parse(text);
    let var = |name: &str| vars.get(name).filter(|value| !value.is_empty()).map(String::as_str);
    match (var("PRETTY_NAME"), var("NAME"), var("VERSION_ID")) {
        (Some(pretty), ..) => pretty.to_owned(),
        (None, Some(name), Some(version)) => format!("{name} {version}"),
        (None, Some(name), None) => name.to_owned(),
        (None, None, _) => "Linux".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_best_variable() {
        for (text, expected) in [
            ("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n", "Debian GNU/Linux 12 (bookworm)"),
            ("NAME='Flatcar'\nVERSION_ID=3815.2.0\n", "Flatcar 3815.2.0"),
            ("NAME=Arch\nPRETTY_NAME=\n", "Arch"),
            ("", "Linux"),
        ] {
            assert_eq!(pretty_name(text), expected);
        }
        assert_eq!(parse("# c\nID=ubuntu\nVERSION_ID=\"22.04\"\n").get("VERSION_ID").unwrap(), "22.04");
    }
}
