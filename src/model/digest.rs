//! SHA-256 digests in the spelling the field uses: `sha256:<64 hex digits>`.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The digest of some content.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.add(bytes);
        hasher.end()
    }

    /// The 64 hex digits, without the algorithm: the name of a backup.
    pub fn hex(&self) -> &str {
        self.0.strip_prefix("sha256:").unwrap_or(&self.0)
    }

    /// The first four hex digits, enough for people to compare at a glance.
    pub fn short(&self) -> &str {
        self.hex().get(..4).unwrap_or_default()
    }

    /// True when this is a well-formed digest. Documents read from disk may hold anything.
    pub fn is_well_formed(&self) -> bool {
        self.0.len() == 71
            && self.0.starts_with("sha256:")
            && self.hex().bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    }
}

/// The digest of content that comes in pieces.
#[derive(Clone, Debug, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// The next piece.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all pieces.
    pub fn end(self) -> Digest {
        use fmt::Write as _;
        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in self.0.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Digest(text)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer() {
        let digest = Digest::of(b"");
        assert_eq!(digest.hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert!(digest.is_well_formed());
        assert_eq!(digest.short(), "e3b0");
    }

    #[test]
    fn a_digest_read_from_a_document_may_be_nonsense() {
        let digest: Digest = serde_json::from_str("\"../../etc/passwd\"").unwrap();
        assert!(!digest.is_well_formed());
        assert_eq!(digest.short().len(), 4);
        let digest: Digest = serde_json::from_str("\"é\"").unwrap();
        assert_eq!(digest.short(), "");
    }
}
