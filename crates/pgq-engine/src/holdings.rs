//! How many bytes the host holds behind a guest's handles: exact for what the guest filled itself,
//! an upper bound for the rest.

use std::any::Any;

use http::HeaderMap;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::{DynInputStream, ReaddirIterator};
use wasmtime_wasi_http::FieldMap;
use wasmtime_wasi_http::p2::bindings::http::types::{Method, Scheme};
use wasmtime_wasi_http::p2::body::HostIncomingBody;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest};

use super::http_resources::{HttpErrorHandle, HttpRequestHandle, HttpResponseHandle};
use super::resources::{CursorHandle, EntrypointHandle, Request, SqlErrorHandle};

/// The entry itself, its slot in two tables, and what it points to if that is small.
pub(super) const ENTRY: usize = 256;
/// A header, in addition to its name and value.
const HEADER: usize = 96;
/// An incoming byte stream: the data read ahead.
const READ_AHEAD: usize = 64 << 10;
/// An outgoing body: the chunk that waits, and the one being sent.
pub(super) const BODY_CHUNK: usize = 64 << 10;
/// A connection: its buffers and those of TLS.
pub(super) const CONNECTION: usize = 128 << 10;
/// A folder being read: all of its names.
const LISTING: usize = 1 << 20;

/// The bytes behind all handles of the table.
pub(super) fn of(table: &mut ResourceTable) -> usize {
    table.iter_mut().map(|entry| ENTRY + bytes(entry)).sum()
}

/// The number of files, folders and streams, each of which may keep one of the system's files open.
pub(super) fn files(table: &mut ResourceTable) -> usize {
    let is_file = |entry: &&mut (dyn Any + Send)| {
        entry.is::<Descriptor>() || entry.is::<DynInputStream>() || entry.is::<ReaddirIterator>()
    };
    table.iter_mut().filter(is_file).count()
}

fn bytes(entry: &(dyn Any + Send)) -> usize {
    if let Some(request) = entry.downcast_ref::<Request>() {
        request.bytes()
    } else if let Some(fields) = entry.downcast_ref::<FieldMap>() {
        headers(fields)
    } else if let Some(request) = entry.downcast_ref::<HostOutgoingRequest>() {
        let method = if let Method::Other(method) = &request.method { method.len() } else { 0 };
        let scheme = if let Some(Scheme::Other(scheme)) = &request.scheme { scheme.len() } else { 0 };
        let texts =
            [&request.authority, &request.path_with_query].into_iter().flatten().map(String::len).sum::<usize>();
        headers(&request.headers) + method + scheme + texts + if request.body.is_some() { 2 * BODY_CHUNK } else { 0 }
    } else if let Some(response) = entry.downcast_ref::<HostIncomingResponse>() {
        headers(&response.headers) + CONNECTION
    } else if entry.is::<HostIncomingBody>() {
        CONNECTION
    } else if entry.is::<HostFutureIncomingResponse>() {
        2 * BODY_CHUNK + CONNECTION
    } else if entry.is::<DynInputStream>() {
        READ_AHEAD
    } else if entry.is::<ReaddirIterator>() {
        LISTING
    } else if let Some(entrypoint) = entry.downcast_ref::<EntrypointHandle>() {
        entrypoint.bytes()
    } else if let Some(cursor) = entry.downcast_ref::<CursorHandle>() {
        cursor.bytes()
    } else if let Some(SqlErrorHandle(error)) = entry.downcast_ref::<SqlErrorHandle>() {
        error.bytes()
    } else if let Some(request) = entry.downcast_ref::<HttpRequestHandle>() {
        request.bytes()
    } else if let Some(response) = entry.downcast_ref::<HttpResponseHandle>() {
        headers(&response.headers) + CONNECTION
    } else if let Some(error) = entry.downcast_ref::<HttpErrorHandle>() {
        error.message.len()
    } else {
        0
    }
}

pub(super) fn headers(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len() + HEADER).sum()
}
