//! Fetches with a sparse filter, which stock git answers.
//!
//! Invariant: stock git sees a request after all of it was admitted here: what is wanted, the blob of the filter, the refs
//! and commits where history is to be cut. It is never asked for what reads hidden refs.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::{Asked, MAX_REQUEST, admit, admitted, working};
use crate::wire::pktline::{self, PktError, PktReader};
use crate::wire::{Protocol, WireError, stock};

/// The lines of a request for stock git, with the blob's id where the client named that by ref and path.
fn lines(asked: &Asked) -> Result<Vec<u8>, WireError> {
    admitted(asked)?;
    let request = &asked.request;
    if request.deepen.is_asked() {
        depth(asked)?;
    }
    let name = request.sparse.as_deref().unwrap_or_default();
    let unknown = || WireError::Refused(format!("upload-pack: unable to access sparse blob in '{name}' (sparse:oid)"));
    let blob = admit::blob(asked, name)?.ok_or_else(unknown)?;
    asked.host.flush_refs().map_err(|e| WireError::inside(format!("the refs cannot be flushed: {e}")))?;
    let mut lines = Vec::with_capacity(request.lines.len());
    for line in pktline::payloads(&request.lines) {
        let text = String::from_utf8_lossy(pktline::text(line));
        match text.split_once(' ') {
            Some(("filter", _)) => pktline::line(&mut lines, &format!("filter sparse:oid={blob}")),
            // Tags follow by what is on disk, shown or not.
            None if text == "include-tag" => {}
            Some(("want", _)) => pktline::line(&mut lines, &text.replace(" include-tag", "")),
            _ => pktline::data(&mut lines, line),
        }
    }
    Ok(lines)
}

/// Refuses a depth that stock git would compute from what is not shown.
fn depth(asked: &Asked) -> Result<(), WireError> {
    let request = &asked.request;
    let refused = |why: &str| Err(WireError::Refused(format!("upload-pack: {why}")));
    if !request.want_refs.is_empty() {
        return refused("sparse:oid with a depth needs an older protocol; add -c protocol.version=0");
    }
    if let Some(name) = request.deepen.not.iter().find(|name| admit::by_short_name(&*asked.host, name).is_none()) {
        return refused(&format!("ambiguous deepen-not: deepen-not {name}"));
    }
    let visible = admit::visible(asked, &request.shallow.iter().copied().collect())?;
    match request.shallow.iter().find(|id| !visible.contains(id)) {
        Some(id) => {
            refused(&format!("no ref reaches {id}, where your history is cut, any more; fetch without a depth"))
        }
        None => Ok(()),
    }
}

/// Under v2.
pub async fn version2<W>(asked: &std::sync::Arc<Asked>, writer: &mut W) -> Result<(), WireError>
where
    W: AsyncWrite + Unpin + Send,
{
    let lines = working(asked, lines).await?;
    let mut request = Vec::with_capacity(lines.len() + 64);
    pktline::line(&mut request, "command=fetch");
    pktline::line(&mut request, "object-format=sha1");
    request.extend_from_slice(pktline::DELIM);
    request.extend_from_slice(&lines);
    request.extend_from_slice(pktline::FLUSH);
    stock::stateless(asked.host.git_dir(), Protocol::V2, request, writer).await
}

/// Under v0 and v1.
pub async fn version0<R, W>(
    asked: &std::sync::Arc<Asked>,
    stateless: bool,
    reader: PktReader<R>,
    writer: &mut W,
) -> Result<(), WireError>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let mut request = working(asked, lines).await?;
    request.extend_from_slice(pktline::FLUSH);
    let git_dir = asked.host.git_dir();
    if !stateless {
        return stock::stateful(git_dir, request, reader.into_inner(), MAX_REQUEST, writer).await;
    }
    let left = MAX_REQUEST.saturating_sub(request.len() as u64);
    reader.into_inner().take(left + 1).read_to_end(&mut request).await?;
    if request.len() as u64 > MAX_REQUEST {
        return Err(PktError::Budget(MAX_REQUEST).into());
    }
    stock::stateless(git_dir, Protocol::V0, request, writer).await
}
