//! crictl's settings, `/etc/crictl.yaml`.
//!
//! crictl refuses to run on a key it does not know, so nothing but the endpoints is ever added.

use super::yaml::Mapping;
use super::{At, FormatError};

/// A parsed `crictl.yaml`.
#[derive(Clone, Debug)]
pub struct CrictlConfig {
    mapping: Mapping,
}

impl CrictlConfig {
    /// Reads the file; the empty text is one.
    ///
    /// # Errors
    /// Text that is not YAML or not a mapping.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        Ok(Self { mapping: Mapping::parse(text)? })
    }

    /// `runtime-endpoint`; empty counts as unset, as it does for crictl.
    pub fn runtime_endpoint(&self) -> Option<At<String>> {
        self.mapping.scalar("runtime-endpoint").filter(|at| !at.value.is_empty())
    }

    /// `image-endpoint`; crictl's default is the runtime endpoint.
    pub fn image_endpoint(&self) -> Option<At<String>> {
        self.mapping.scalar("image-endpoint").filter(|at| !at.value.is_empty())
    }
}

/// Reads the file; the empty text is one.
///
/// # Errors
/// Text that is not YAML or not a mapping.
pub fn parse(text: &str) -> Result<CrictlConfig, FormatError> {
    CrictlConfig::parse(text)
}

/// The text with both endpoints set to `endpoint`; for `None` a small new file.
///
/// # Errors
/// As [`parse`], and an endpoint that is a list or mapping.
pub fn with_endpoint(text: Option<&str>, endpoint: &str) -> Result<String, FormatError> {
    let text = text.unwrap_or("# Written by castoff: the endpoint of this node's container runtime.\n");
    let endpoint = Some(endpoint);
    Mapping::parse(text)?.with(&[("runtime-endpoint", endpoint), ("image-endpoint", endpoint)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTAINERD: &str = "unix:///run/containerd/containerd.sock";

    #[test]
    fn both_endpoints_follow_and_the_rest_stays() {
        for (text, expected) in [
            (
                None,
                format!(
                    "# Written by castoff: the endpoint of this node's container runtime.\nruntime-endpoint: {CONTAINERD}\nimage-endpoint: {CONTAINERD}\n"
                ),
            ),
            (
                Some("# mine\nruntime-endpoint: unix:///var/run/dockershim.sock # old\ntimeout: 10\ndebug: false\n"),
                format!(
                    "# mine\nruntime-endpoint: {CONTAINERD} # old\ntimeout: 10\ndebug: false\nimage-endpoint: {CONTAINERD}\n"
                ),
            ),
            (Some(""), format!("runtime-endpoint: {CONTAINERD}\nimage-endpoint: {CONTAINERD}\n")),
        ] {
            let out = with_endpoint(text, CONTAINERD).unwrap();
            assert_eq!(out, expected);
            assert_eq!(with_endpoint(Some(&out), CONTAINERD).unwrap(), out);
            assert_eq!(parse(&out).unwrap().image_endpoint().unwrap().value, CONTAINERD);
        }
    }

    #[test]
    fn files_that_are_no_mapping_are_refused() {
        assert!(with_endpoint(Some("- a\n"), CONTAINERD).is_err());
        assert!(with_endpoint(Some("runtime-endpoint: [a]\n"), CONTAINERD).is_err());
        assert_eq!(parse("runtime-endpoint: \"\"\n").unwrap().runtime_endpoint(), None);
    }
}
