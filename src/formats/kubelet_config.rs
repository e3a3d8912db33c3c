//! The kubelet's configuration file (`KubeletConfiguration`, usually `/var/lib/kubelet/config.yaml`), kubeadm's
//! `instance-config.yaml` beside it, and the kubelet's drop-ins.
//!
//! Only top-level scalars are changed, which is all that a change of the runtime needs. Whether a flag overrides the
//! file, and which release knows which field, is not decided here.

use super::yaml::Mapping;
use super::{At, FormatError};
use serde_json::Value;

/// The API version the kubelet reads.
pub const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";
/// The kind the kubelet reads.
pub const KIND: &str = "KubeletConfiguration";

/// A parsed file. The empty document is one, since kubeadm's partial files need neither version nor kind.
#[derive(Clone, Debug)]
pub struct KubeletConfig {
    mapping: Mapping,
}

impl KubeletConfig {
    /// Reads a file: YAML, or JSON, which is YAML too.
    ///
    /// # Errors
    /// Text that is not YAML, and a first document that is not a mapping.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        Ok(Self { mapping: Mapping::parse(text)? })
    }

    /// `kind`, if `apiVersion` is the kubelet's too; `None` for another file, or one without them.
    pub fn kind(&self) -> Option<At<String>> {
        let version = self.string("apiVersion")?;
        self.string("kind").filter(|kind| version.value == API_VERSION && kind.value == KIND)
    }

    /// A top-level scalar as text: `true` and `5` too. `null`, lists and mappings are none.
    pub fn string(&self, key: &str) -> Option<At<String>> {
        self.mapping.scalar(key)
    }

    /// What a drop-in must start with to be one.
    pub fn empty_drop_in() -> String {
        format!("apiVersion: {API_VERSION}\nkind: {KIND}\n")
    }

    /// Any top-level value, `null` too; of equal keys the last one's, as for kubelet.
    pub fn value(&self, key: &str) -> Option<&At<Value>> {
        self.mapping.value(key)
    }

    /// A field of a top-level mapping as text, with the line of the mapping's value: `authentication`, `logging`.
    pub fn nested(&self, key: &str, field: &str) -> Option<At<String>> {
        let at = self.mapping.value(key)?;
        let value = at.value.get(field)?;
        let text = value
            .as_str()
            .map(str::to_owned)
            .or_else(|| (value.is_boolean() || value.is_number()).then(|| value.to_string()));
        Some(At::new(text?, at.line))
    }

    /// The top-level keys in the file's order.
    pub fn keys(&self) -> Vec<At<String>> {
        self.mapping.keys().cloned().collect()
    }

    /// The text with top-level scalars set, or removed where the value is `None`; keys that are missing go to the end.
    ///
    /// Values that look like a number or a switch are written as one, unless the key holds a text now. A key that has
    /// its value already, in whatever quotes, keeps its bytes.
    ///
    /// # Errors
    /// A key that holds a list or a mapping, or stands there twice, with its line; a text that a line behind its last one
    /// would change. `internal: …` if the edited text does not say what was meant.
    pub fn with(&self, changes: &[(&str, Option<&str>)]) -> Result<String, FormatError> {
        self.mapping.with(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KUBEADM: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nauthentication:\n  anonymous:\n    enabled: false\n# driver\ncgroupDriver: cgroupfs # trailing\nclusterDNS:\n- 10.96.0.10\nfailSwapOn: false\nkind: KubeletConfiguration\nmaxPods: 110\n";

    fn edit(text: &str, changes: &[(&str, Option<&str>)]) -> String {
        KubeletConfig::parse(text).unwrap().with(changes).unwrap()
    }

    #[test]
    fn scalars_are_read_with_their_lines() {
        let config = KubeletConfig::parse(KUBEADM).unwrap();
        assert_eq!(config.string("cgroupDriver"), Some(At::new("cgroupfs".into(), 6)));
        assert_eq!(config.string("failSwapOn"), Some(At::new("false".into(), 9)));
        assert_eq!(config.string("maxPods"), Some(At::new("110".into(), 11)));
        assert_eq!(config.string("clusterDNS"), None);
        assert_eq!(config.kind(), Some(At::new(KIND.into(), 10)));
        assert_eq!(config.keys()[1], At::new("authentication".into(), 2));
        assert_eq!(KubeletConfig::parse("kind: KubeletConfiguration\n").unwrap().kind(), None);
    }

    #[test]
    fn edits_touch_one_key() {
        for (text, changes, expected) in [
            (
                KUBEADM.to_owned(),
                &[("cgroupDriver", Some("systemd"))][..],
                KUBEADM.replace("cgroupDriver: cgroupfs", "cgroupDriver: systemd"),
            ),
            (
                KUBEADM.to_owned(),
                &[("failSwapOn", Some("true"))],
                KUBEADM.replace("failSwapOn: false", "failSwapOn: true"),
            ),
            (
                KUBEADM.to_owned(),
                &[("containerRuntimeEndpoint", Some("unix:///run/containerd/containerd.sock")), ("maxPods", None)],
                KUBEADM.replace("maxPods: 110\n", "containerRuntimeEndpoint: unix:///run/containerd/containerd.sock\n"),
            ),
            (
                "\u{feff}kind: K\r\ncgroupDriver: cgroupfs\r\n".into(),
                &[("cgroupDriver", Some("systemd"))],
                "\u{feff}kind: K\r\ncgroupDriver: systemd\r\n".into(),
            ),
            (
                "{kind: K, cgroupDriver: cgroupfs}\n".into(),
                &[("cgroupDriver", Some("systemd"))],
                "{kind: K, cgroupDriver: systemd}\n".into(),
            ),
            (
                "{\n  \"kind\": \"K\",\n  \"cgroupDriver\": \"cgroupfs\"\n}\n".into(),
                &[("cgroupDriver", Some("systemd"))],
                "{\n  \"kind\": \"K\",\n  \"cgroupDriver\": \"systemd\"\n}\n".into(),
            ),
            (
                "{\n  \"kind\": \"K\",\n  \"maxPods\": 5\n}\n".into(),
                &[("cgroupDriver", Some("systemd")), ("maxPods", Some("7"))],
                "{\n  \"kind\": \"K\",\n  \"maxPods\": 7,\n  \"cgroupDriver\": \"systemd\"\n}\n".into(),
            ),
            ("{\"a\":1}".into(), &[("b", Some("x")), ("c", Some("true"))], "{\"a\":1,\"b\":\"x\",\"c\":true}".into()),
            ("{\"a\": 1, \"b\": 2}\n".into(), &[("c", Some("x"))], "{\"a\": 1, \"b\": 2, \"c\": \"x\"}\n".into()),
            ("{}\n".into(), &[("c", Some("x"))], "{\"c\":\"x\"}\n".into()),
            (String::new(), &[("a", Some("x")), ("b", Some("1"))], "a: x\nb: 1\n".into()),
            ("# only\r\n---\r\n".into(), &[("a", Some("t: x"))], "# only\r\n---\r\na: \"t: x\"\r\n".into()),
            ("# c\na: 1 # x\n# d\nb: 2\n".into(), &[("a", None)], "# c\n# d\nb: 2\n".into()),
            ("{a: 1, b: 2}\n".into(), &[("b", None)], "{a: 1}\n".into()),
            ("a: 1".into(), &[("b", Some("x"))], "a: 1\nb: x".into()),
            ("a: b\n".into(), &[("a", Some("on")), ("c", Some("n"))], "a: \"on\"\nc: \"n\"\n".into()),
            ("a: \"1\"\n".into(), &[("a", Some("2"))], "a: '2'\n".into()),
        ] {
            assert_eq!(edit(&text, changes), expected, "{text}");
        }
    }

    #[test]
    fn nothing_to_do_changes_no_byte() {
        for text in ["cgroupDriver: \"systemd\"\r\n", "cgroupDriver:   'systemd' #x", "{\"cgroupDriver\":\"systemd\"}"]
        {
            assert_eq!(edit(text, &[("cgroupDriver", Some("systemd")), ("absent", None)]), text);
        }
    }

    #[test]
    fn documents_that_are_empty_values_are_edited_or_refused() {
        assert_eq!(edit("{}\n", &[("a", Some("x"))]), "{\"a\":\"x\"}\n");
        assert_eq!(edit("# c\r\n--- \r\n", &[("a", Some("x"))]), "# c\r\n--- \r\na: x\r\n");
        for text in ["~\n", "null", "---\n~\n", "# c\r~", "%YAML 1.2\n---\n"] {
            let Ok(config) = KubeletConfig::parse(text) else { continue };
            let error = config.with(&[("a", Some("x"))]).unwrap_err();
            assert!(!error.message.starts_with("internal"), "{text:?}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_edited_is_refused_with_its_place() {
        for (text, line) in [
            ("? ture\n [pi+w\n\t#\n [pi+&\nw2]:\n", 1),
            ("a: 1\nb:\n  \n   !enabatio:\n  qnn~mous:\n  \n   !enable", 4),
        ] {
            let Ok(config) = KubeletConfig::parse(text) else { continue };
            let Err(error) = config.with(&[("a", Some("x")), ("failSwapOn", Some("true"))]) else { continue };
            assert_eq!(error.line, Some(line), "{text:?}: {error}");
            assert!(!error.message.starts_with("internal"), "{error}");
        }
    }

    #[test]
    fn faults_name_their_place() {
        for (text, line) in [("a: [\n", 1), ("a:\n\t- b\n", 2), ("a:\n\t- b\n---\nc: 1\n", 2)] {
            let error = KubeletConfig::parse(text).unwrap_err();
            assert_eq!(error.line, Some(line), "{text:?}: {error}");
            assert_eq!(error.message.lines().count(), 1, "{error}");
        }
        assert!(KubeletConfig::parse("- a\n").is_err());
        let error = KubeletConfig::parse("x: 1\ncgroupDriver:\n  a: b\n").unwrap().with(&[("cgroupDriver", Some("x"))]);
        assert_eq!(error.unwrap_err().line, Some(3));
    }

    #[test]
    fn what_kubelet_passes_over_is_passed_over_and_stays() {
        let changes = [("cgroupDriver", Some("systemd")), ("a", Some("x"))];
        let edited = format!("{}a: x\n", KUBEADM.replace("cgroupDriver: cgroupfs", "cgroupDriver: systemd"));
        for rest in ["---\n", "--- # c\ncgroupDriver: x\n", "...\n", "...\n# c\n---\na: [\n"] {
            let text = format!("{KUBEADM}{rest}");
            assert_eq!(
                KubeletConfig::parse(&text).unwrap().string("cgroupDriver"),
                Some(At::new("cgroupfs".into(), 6))
            );
            let out = edit(&text, &changes);
            assert_eq!(out, format!("{edited}{rest}"));
            assert_eq!(edit(&out, &changes), out);
        }
        // What a removal would leave must not make the second document the first.
        if let Ok(out) = KubeletConfig::parse("a: 1\n---\nb: 2\n").unwrap().with(&[("a", None)]) {
            assert_eq!(KubeletConfig::parse(&out).unwrap().string("b"), None, "{out}");
        }
        assert_eq!(edit("---\n---\nb: 2\n", &[("a", Some("x"))]), "---\na: x\n---\nb: 2\n");
        assert_eq!(KubeletConfig::parse("%YAML 1.2\n---\na: 1\n").unwrap().string("a").unwrap().value, "1");
    }

    #[test]
    fn the_last_of_equal_keys_counts_and_is_not_edited() {
        let config = KubeletConfig::parse("a: 1\nb: {c: 1, c: 2}\nd: 3\na: 2\n").unwrap();
        assert_eq!(config.string("a"), Some(At::new("2".into(), 4)));
        assert_eq!(config.nested("b", "c").unwrap().value, "2");
        assert_eq!(config.with(&[("d", Some("4"))]).unwrap(), "a: 1\nb: {c: 1, c: 2}\nd: 4\na: 2\n");
        assert!(config.with(&[("a", Some("2"))]).is_ok(), "it is so already");
        let error = config.with(&[("a", Some("3"))]).unwrap_err();
        assert_eq!(
            (error.line, error.message.as_str()),
            (Some(4), "a stands here again, and only the last one counts")
        );
    }

    #[test]
    fn a_block_scalar_at_the_end_keeps_its_last_character() {
        for (text, line) in [("t: |\n  a", 2), ("a: 1\nt:\n- x: >2 # c\n    a", 4)] {
            let error = KubeletConfig::parse(text).unwrap().with(&[("b", Some("x"))]).unwrap_err();
            assert_eq!(error.line, Some(line), "{text:?}: {error}");
        }
        assert_eq!(edit("a: 1\nt: |\n  x", &[("a", Some("2"))]), "a: 2\nt: |\n  x");
        for text in ["t: |\n  a\n", "t: |-\n  a", "t: |\n  a\nb: x", "t: |\n  a\n# c"] {
            assert!(KubeletConfig::parse(text).unwrap().with(&[("c", Some("x"))]).is_ok(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn edits_keep_everything_else(
            lines in proptest::collection::vec(
                prop_oneof![
                    Just("# comment".to_owned()),
                    Just(String::new()),
                    Just("evictionHard:\n  memory.available: 100Mi # x\n  # inner".to_owned()),
                    Just("clusterDNS:\n- 10.0.0.10\n\n- 10.0.0.11".to_owned()),
                    Just("text: |\n  a\n   b\n".to_owned()),
                    Just("cgroupDriver: 'cgroupfs'   # tail".to_owned()),
                    "[a-c]{3}: [a-z0-9]{1,4}",
                    Just("abc: 1 # gone".to_owned()),
                ],
                0..8,
            ),
            newline in prop_oneof![Just("\n"), Just("\r\n")],
            end in any::<bool>(),
        ) {
            let mut text = lines.join("\n").replace('\n', newline);
            if end { text.push_str(newline); }
            let Ok(config) = KubeletConfig::parse(&text) else { return Ok(()) };
            let changes = [
                ("cgroupDriver", Some("systemd")),
                ("containerRuntimeEndpoint", Some("unix:///run/x.sock")),
                ("abc", None),
            ];
            let mut keys: Vec<_> = config.keys().into_iter().map(|key| key.value).collect();
            keys.sort_unstable();
            let out = match config.with(&changes) {
                // Of equal keys none is edited.
                Err(_) if keys.windows(2).any(|pair| pair[0] == pair[1]) => return Ok(()),
                out => out.unwrap(),
            };
            let after = KubeletConfig::parse(&out).unwrap();
            prop_assert_eq!(after.string("cgroupDriver").map(|at| at.value), Some("systemd".to_owned()));
            prop_assert_eq!(after.with(&changes).unwrap(), out.clone());
            for line in text.lines().filter(|line| !line.contains("cgroupDriver") && !line.starts_with("abc:")) {
                prop_assert!(out.lines().any(|other| other == line), "lost {line:?} in {out:?}");
            }
        }

        #[test]
        fn damaged_documents_are_survived(
            cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0..4_usize, "[\\[\\]{}\"':.,#&*!|> \n\ta1-]{0,3}"), 1..4),
        ) {
            let mut text: Vec<char> = KUBEADM.chars().collect();
            for (at, length, with) in cuts {
                let at = at.index(text.len());
                text.splice(at..(at + length).min(text.len()), with.chars());
            }
            if let Ok(config) = KubeletConfig::parse(&String::from_iter(text)) {
                let _ = config.with(&[("cgroupDriver", Some("systemd")), ("maxPods", None), ("new", Some("y"))]);
            }
        }

        #[test]
        fn any_text_is_survived(text in "[a-c:\\-\\[\\]{}&*!|>'\"#%@`, \n\t]{0,40}") {
            if let Ok(config) = KubeletConfig::parse(&text) {
                let _ = config.with(&[("a", Some("x")), ("b", None), ("new", Some("y"))]);
            }
        }
    }
}
