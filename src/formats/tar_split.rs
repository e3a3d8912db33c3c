//! tar-split: how Docker remembers a layer's archive without keeping it. Lines of JSON that are either bytes of the
//! archive (headers, padding) or the place of a file's content (vbatts/tar-split `tar/storage/entry.go`).

use super::FormatError;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

/// A piece of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The content of this file of the layer.
    Content {
        /// Its name in the archive; need not be text.
        name: Vec<u8>,
        /// Bytes.
        size: u64,
    },
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: u32,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    name_raw: Option<String>,
    #[serde(default)]
    size: Option<i64>,
    #[serde(default)]
    payload: Option<String>,
}

const FILE: u32 = 1;
const SEGMENT: u32 = 2;

/// Reads one line, without its number.
///
/// # Errors
/// When it is no entry of tar-split.
pub fn piece(line: &str) -> Result<Piece, FormatError> {
    let entry: Entry = serde_json::from_str(line).map_err(|error| FormatError::new(error.to_string()))?;
    let decode = |text: &str| STANDARD.decode(text).map_err(|error| FormatError::new(format!("bad base64: {error}")));
    match entry.kind {
        SEGMENT => Ok(Piece::Bytes(decode(entry.payload.as_deref().unwrap_or_default())?)),
        FILE => {
            let name = match (entry.name, entry.name_raw) {
                (Some(name), _) if !name.is_empty() => name.into_bytes(),
                (_, Some(raw)) => decode(&raw)?,
                _ => return Err(FormatError::new("a file without a name")),
            };
            let size = entry.size.unwrap_or_default();
            let size = u64::try_from(size).map_err(|_| FormatError::new("a file of negative size"))?;
            Ok(Piece::Content { name, size })
        }
        other => Err(FormatError::new(format!("an entry of unknown type {other}"))),
    }
}

/// Bytes that a piece takes in the archive; cheaper than [`piece`].
///
/// # Errors
/// When it is no entry of tar-split.
pub fn length(line: &str) -> Result<u64, FormatError> {
    let entry: Entry = serde_json::from_str(line).map_err(|error| FormatError::new(error.to_string()))?;
    match entry.kind {
        SEGMENT => {
            let text = entry.payload.unwrap_or_default();
            let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
            Ok((text.len() / 4 * 3).saturating_sub(padding) as u64)
        }
        FILE => u64::try_from(entry.size.unwrap_or_default()).map_err(|_| FormatError::new("a file of negative size")),
        other => Err(FormatError::new(format!("an entry of unknown type {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_their_lengths() {
        let bytes = r#"{"type":2,"payload":"AAECAw==","position":0}"#;
        assert_eq!(piece(bytes).unwrap(), Piece::Bytes(vec![0, 1, 2, 3]));
        assert_eq!(length(bytes).unwrap(), 4);
        let file = r#"{"type":1,"name":"./a","size":7,"payload":"eKJGcbGdRmU=","position":1}"#;
        assert!(matches!(piece(file).unwrap(), Piece::Content { name, size: 7 } if name == b"./a"));
        assert_eq!(length(file).unwrap(), 7);
        let raw = r#"{"type":1,"name_raw":"/2E=","payload":null,"position":2}"#;
        assert!(matches!(piece(raw).unwrap(), Piece::Content { name, size: 0 } if name == b"\xffa"));
        for wrong in
            [r#"{"type":3}"#, r#"{"type":1}"#, r#"{"type":1,"name":"a","size":-1}"#, "", r#"{"type":2,"payload":"!"}"#]
        {
            assert!(piece(wrong).is_err(), "{wrong}");
        }
    }
}
