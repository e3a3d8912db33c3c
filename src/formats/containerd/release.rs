//! containerd releases: which schema they read, and how they find and join imported files.

use super::schema;

/// A release of containerd, as far as its configuration depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Default for Release {
    /// For a node whose release is unknown, which is a finding: the last line of 1.x.
    fn default() -> Self {
        Self { major: 1, minor: 7, patch: u32::MAX }
    }
}

impl Release {
    /// Reads `1.7.24`; what follows the third number does not matter. A missing third number counts as the last patch.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().trim_start_matches('v').splitn(3, '.');
        let number = |part: &str| {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            part.get(..digits)?.parse::<u32>().ok()
        };
        let (major, minor) = (number(parts.next()?)?, number(parts.next()?)?);
        Some(Self { major, minor, patch: parts.next().and_then(number).unwrap_or(u32::MAX) })
    }

    /// Major and minor number.
    pub fn pair(self) -> (u32, u32) {
        (self.major, self.minor)
    }

    fn at_least(self, major: u32, minor: u32, patch: u32) -> bool {
        (self.major, self.minor, self.patch) >= (major, minor, patch)
    }

    /// The newest schema it reads.
    pub fn newest_schema(self) -> u32 {
        match self.pair() {
            (0, _) | (1, 0..=2) => 1,
            (1, _) => 2,
            (2, 0..=2) => 3,
            _ => schema::NEWEST,
        }
    }

    /// Whether it says so when a file has a newer schema. Others start and ignore the file's CRI settings.
    pub fn refuses_newer_schema(self) -> bool {
        match self.pair() {
            (1, 6) => self.at_least(1, 6, 32),
            (1, 7) => self.at_least(1, 7, 17),
            (major, _) => major >= 2,
        }
    }

    /// The schema castoff gives a file it makes anew, and a file of schema 1: what all releases of that major know. Up to
    /// 1.2 none knows it, which blocks (`containerd-too-old`).
    pub fn preferred_schema(self) -> u32 {
        if self.major >= 2 { 3 } else { 2 }
    }

    /// 2.x joins the plugin tables of two files key by key; 1.x takes the later file's whole table.
    pub fn merges_plugins(self) -> bool {
        self.major >= 2
    }

    /// Since 2.1 CNI plugins are looked for in a list of directories, `bin_dirs`.
    pub fn has_cni_dir_list(self) -> bool {
        self.at_least(2, 1, 0)
    }

    /// From 2.3 on each file is converted by itself before it is joined.
    pub fn converts_each_file(self) -> bool {
        self.at_least(2, 3, 0)
    }

    /// 1.3 and 1.4 read on without an import that is not there; everything later refuses to start.
    pub fn needs_literal_imports(self) -> bool {
        self.at_least(1, 5, 0)
    }

    /// Whether a byte order mark keeps it from starting: its parser before 1.5 and from 2.0 on takes it for text.
    pub fn refuses_byte_order_mark(self) -> bool {
        self.major >= 2 || self.pair() < (1, 5)
    }

    /// Before 1.6.29 and 1.7.16 a relative pattern was looked up where the daemon runs, which is `/`.
    fn patterns_from_root(self) -> bool {
        match self.pair() {
            (1, 7) => !self.at_least(1, 7, 16),
            (1, 6) => !self.at_least(1, 6, 29),
            (major, _) => major < 2,
        }
    }

    /// What an entry of `imports` in the file `parent` means.
    pub fn import(self, parent: &str, entry: &str) -> Import {
        let pattern = entry.contains('*');
        let base = match parent.rsplit_once('/') {
            Some((dir, _)) if !(pattern && self.patterns_from_root()) => dir,
            _ => "",
        };
        let joined = if entry.starts_with('/') { entry.to_owned() } else { format!("{base}/{entry}") };
        let path = clean(&joined);
        if pattern { Import::Pattern(path) } else { Import::File(path) }
    }
}

/// What an entry of `imports` leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Import {
    /// One file, which must be there.
    File(String),
    /// All files that match, in the order of their names; none is fine.
    Pattern(String),
}

impl Import {
    /// Whether a path is meant. Only an entry with a `*` is a pattern at all.
    pub fn meets(&self, path: &str) -> bool {
        match self {
            Self::File(file) => file == path,
            Self::Pattern(pattern) => {
                let (left, right): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
                left.len() == right.len() && left.iter().zip(&right).all(|(pattern, name)| segment_meets(pattern, name))
            }
        }
    }
}

/// An absolute path without `.`, `..` and doubled slashes.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Whether a name matches one segment of a pattern: `*`, `?`, `[a-z]`, `[^x]` and `\` as Go's `path/filepath` knows
/// them. A name that starts with a dot is nothing special there.
pub fn segment_meets(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // Where the last star stood and how much it has taken: enough to match without recursion.
    let (mut at, mut pos) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match (pattern.get(at), name.get(pos)) {
            (None, None) => return true,
            (Some('*'), _) => {
                star = Some((at + 1, pos));
                at += 1;
                continue;
            }
            (Some(_), Some(c)) => one(&pattern, at, *c),
            _ => None,
        };
        match (step, star) {
            (Some(next), _) => (at, pos) = (next, pos + 1),
            (None, Some((after, taken))) if taken < name.len() => {
                star = Some((after, taken + 1));
                (at, pos) = (after, taken + 1);
            }
            _ => return false,
        }
    }
}

/// Where the pattern goes on when its part at `at` matches the character.
fn one(pattern: &[char], at: usize, c: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '\\' => (pattern.get(at + 1) == Some(&c)).then_some(at + 2),
        '[' => {
            let negated = pattern.get(at + 1) == Some(&'^');
            let mut here = at + 1 + usize::from(negated);
            let (mut hit, mut first) = (false, true);
            loop {
                let low = match pattern.get(here)? {
                    ']' if !first => break,
                    '\\' => {
                        here += 1;
                        *pattern.get(here)?
                    }
                    low => *low,
                };
                let high = match (pattern.get(here + 1), pattern.get(here + 2)) {
                    (Some('-'), Some(high)) if *high != ']' => {
                        here += 2;
                        *high
                    }
                    _ => low,
                };
                hit |= (low..=high).contains(&c);
                here += 1;
                first = false;
            }
            (hit != negated).then_some(here + 1)
        }
        literal => (*literal == c).then_some(at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn release(text: &str) -> Release {
        Release::parse(text).unwrap()
    }

    #[test]
    fn releases_are_read_with_what_distributions_append() {
        assert_eq!(release("1.6.20~ds1").pair(), (1, 6));
        assert!(release("2.1.9+unknown") > release("2.1.8"));
        assert!(release("1.7") > release("1.7.24"));
        assert_eq!(release("v2.3.0-rc.1").newest_schema(), 4);
        assert_eq!(Release::parse("unknown"), None);
    }

    #[test]
    fn each_release_reads_its_schemas() {
        for (text, newest, refuses, bom) in [
            ("1.2.14", 1, false, true),
            ("1.4.13", 2, false, true),
            ("1.6.20", 2, false, false),
            ("1.6.32", 2, true, false),
            ("1.7.16", 2, false, false),
            ("1.7.24", 2, true, false),
            ("2.1.9", 3, true, true),
            ("2.3.4", 4, true, true),
        ] {
            let release = release(text);
            assert_eq!(
                (release.newest_schema(), release.refuses_newer_schema(), release.refuses_byte_order_mark()),
                (newest, refuses, bom),
                "{text}"
            );
        }
    }

    #[test]
    fn imports_are_looked_up_where_each_release_looks() {
        let main = "/etc/containerd/config.toml";
        let pattern = |text: &str| Import::Pattern(text.to_owned());
        for (version, entry, import) in [
            ("1.6.20", "conf.d/*.toml", pattern("/conf.d/*.toml")),
            ("1.7.24", "conf.d/*.toml", pattern("/etc/containerd/conf.d/*.toml")),
            ("2.1.9", "./conf.d/../x/*.toml", pattern("/etc/containerd/x/*.toml")),
            ("1.6.20", "extra.toml", Import::File("/etc/containerd/extra.toml".to_owned())),
            ("2.1.9", "/a/[x]?.toml", Import::File("/a/[x]?.toml".to_owned())),
        ] {
            assert_eq!(release(version).import(main, entry), import, "{version} {entry}");
        }
        let all = release("1.7.24").import(main, "/etc/containerd/conf.d/*.toml");
        assert!(all.meets("/etc/containerd/conf.d/99-nvidia.toml"));
        assert!(!all.meets("/etc/containerd/conf.d/a/b.toml") && !all.meets("/etc/containerd/conf.d/x.toml.bak"));
    }

    #[test]
    fn patterns_are_those_of_go() {
        for (pattern, name, meets) in [
            ("*", "", true),
            ("*.toml", ".toml", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("[0-9]?-*", "10-x", true),
            ("[^a]", "a", false),
            ("[^a]", "b", true),
            ("\\*", "*", true),
            ("[", "[", false),
            ("[]a]", "]", true),
            ("a[b-]", "a-", true),
        ] {
            assert_eq!(segment_meets(pattern, name), meets, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn any_pattern_is_survived(pattern in "[*?\\[\\]^a-c\\\\-]{0,12}", name in "[a-c*\\[-]{0,12}") {
            segment_meets(&pattern, &name);
        }
    }
}
