//! CRI-O's configuration (crio.conf(5)): the little castoff tells about a node it does not move.

use super::{At, FormatError, count};

/// `cgroup_manager` of one file, when it is set there.
///
/// # Errors
/// Text that is not TOML.
pub fn cgroup_manager(text: &str) -> Result<Option<At<String>>, FormatError> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| FormatError::new(error.message()))?;
    let value =
        table.get("crio").and_then(|crio| crio.get("runtime")).and_then(|runtime| runtime.get("cgroup_manager"));
    let Some(value) = value.and_then(toml::Value::as_str) else { return Ok(None) };
    let line = text.lines().position(|line| line.trim_start().starts_with("cgroup_manager"));
    Ok(Some(At::new(value.to_owned(), line.map_or(1, |line| count(line + 1)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_is_found() {
        let text = "# crio\n[crio.runtime]\n# cgroup_manager = \"systemd\"\nconmon_cgroup = \"pod\"\ncgroup_manager = \"cgroupfs\"\n";
        assert_eq!(cgroup_manager(text).unwrap(), Some(At::new("cgroupfs".into(), 5)));
        assert_eq!(cgroup_manager("[crio.image]\n").unwrap(), None);
        assert!(cgroup_manager("[crio").is_err());
    }
}
