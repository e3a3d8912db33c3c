//! Unified diffs, secrets masked.

use crate::model::mask_text;
use similar::TextDiff;

/// The unified diff of a file's texts; `before` is absent for a new file.
pub fn unified(path: &str, before: Option<&str>, after: &str, context: usize) -> String {
    // Masked before comparing: equal secrets get equal masks, so an unchanged one makes no difference.
    let (old, new) = (mask_text(before.unwrap_or_default()), mask_text(after));
    let from = if before.is_some() { path } else { "/dev/null" };
    // No more than there are: around each change they are counted twice.
    let context = context.min(old.lines().count().max(new.lines().count()));
    TextDiff::from_lines(old.as_str(), new.as_str())
        .unified_diff()
        .context_radius(context)
        .header(from, &format!("{path} (planned)"))
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::unified;

    #[test]
    fn shows_what_changes_and_hides_secrets() {
        let before = "a = 1\npassword = \"hunter2\"\nb = 2\n";
        let diff = unified("/etc/x", Some(before), &before.replace("b = 2", "b = 3"), 3);
        assert!(diff.starts_with("--- /etc/x\n+++ /etc/x (planned)\n@@ "), "{diff}");
        assert!(diff.contains("-b = 2\n+b = 3\n"));
        assert!(!diff.contains("hunter2"));
        let other = unified("/etc/x", Some(before), &before.replace("hunter2", "hunter3"), 3);
        assert!(other.contains("-password = \"<redacted:") && other.contains("+password = \"<redacted:"), "{other}");
        let all = unified("/etc/x", Some(before), &before.replace("b = 2", "b = 3"), usize::MAX);
        assert!(all.contains(" a = 1\n"), "{all}");
        let new = unified("/etc/x", None, "a\n", 3);
        assert!(new.starts_with("--- /dev/null\n+++ /etc/x (planned)\n@@ -0,0 +1 @@\n+a\n"), "{new}");
    }
}
