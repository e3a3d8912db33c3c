//! containerd's blobs.
//!
//! containerd has a blob in its books before the blob's place in its directory is on disk: it syncs the file and the books,
//! not the directory (containerd `content/local/writer.go`, `Commit`). After a power cut the books may name what is gone, and
//! writing it again is refused because it is there. So whoever writes a blob looks whether it is there in truth.

use super::{LIMIT, absent, already, messages as m};
use crate::host::{DaemonError, grpc::Server};
use anyhow::Result;
use std::time::Duration;

const READ: &str = "/containerd.services.content.v1.Content/Read";
const WRITE: &str = "/containerd.services.content.v1.Content/Write";
const DELETE: &str = "/containerd.services.content.v1.Content/Delete";
/// Bytes a second that a disk under load writes at least.
const SLOWEST: u64 = 2 << 20;

/// Reads a blob; `None` when there is none.
pub(in crate::host) fn read(server: &Server, digest: &str) -> Result<Option<Vec<u8>>> {
    read_from(server, digest, 0, 0)
}

fn read_from(server: &Server, digest: &str, offset: i64, size: i64) -> Result<Option<Vec<u8>>> {
    let request = m::ReadContentRequest { digest: digest.to_owned(), offset, size };
    match absent(server.stream::<_, m::ReadContentResponse>(READ, vec![request], LIMIT))? {
        Some(parts) => Ok(Some(parts.into_iter().flat_map(|part| part.data).collect())),
        None => Ok(None),
    }
}

/// Takes a blob out of the books whose last byte cannot be read. Its bytes were synced before it got its name, so one that
/// has its last byte has all.
///
/// # Errors
/// When containerd does not answer.
pub(in crate::host) fn mend(server: &Server, digest: &str, size: u64) -> Result<()> {
    let last = i64::try_from(size.saturating_sub(1)).unwrap_or(i64::MAX);
    match read_from(server, digest, last, 1) {
        Ok(Some(byte)) if byte.len() == 1 || size == 0 => return Ok(()),
        // An end before it is told as an error of the file.
        Err(error) if !matches!(DaemonError::of(&error), Some(DaemonError::Rejected { .. })) => return Err(error),
        _ => {}
    }
    let request = m::DeleteContentRequest { digest: digest.to_owned() };
    absent(server.call::<_, m::Empty>(DELETE, request, LIMIT)).map(drop)
}

/// Writes a small blob under the lease of `server`; says whether it was there already.
pub(in crate::host) fn write(server: &Server, digest: &str, bytes: &[u8], labels: super::Labels) -> Result<bool> {
    mend(server, digest, bytes.len() as u64)?;
    let request = m::WriteContentRequest {
        action: m::COMMIT,
        reference: format!("castoff-{digest}"),
        total: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        expected: digest.to_owned(),
        offset: 0,
        data: bytes.to_vec(),
        labels,
    };
    send(server, request)
}

/// Writes a blob too large for memory, part by part in one stream, as containerd wants it: it opens what is written anew for each
/// stream, and reads all that is there (containerd `content/local/store.go`, `resumeStatus`). Says whether it was there already.
pub(in crate::host) fn write_parts(
    server: &Server,
    digest: &str,
    size: u64,
    parts: &mut super::Parts<'_>,
) -> Result<bool> {
    mend(server, digest, size)?;
    let part = |action, offset, data| m::WriteContentRequest {
        action,
        reference: format!("castoff-{digest}"),
        total: i64::try_from(size).unwrap_or(i64::MAX),
        expected: digest.to_owned(),
        offset,
        data,
        labels: super::Labels::new(),
    };
    let limit = LIMIT + Duration::from_secs(size / SLOWEST);
    already(server.upload::<_, m::WriteContentResponse>(WRITE, limit, |send| {
        let mut offset = 0;
        parts(&mut |data| {
            let at = offset;
            offset += i64::try_from(data.len()).unwrap_or(i64::MAX);
            send(part(m::WRITE, at, data))
        })?;
        send(part(m::COMMIT, offset, Vec::new()))
    }))
}

/// Sends a whole blob, or one that needs no bytes; says whether it was there already.
pub(in crate::host) fn send(server: &Server, blob: m::WriteContentRequest) -> Result<bool> {
    already(server.stream::<_, m::WriteContentResponse>(WRITE, vec![blob], LIMIT))
}
