//! The parts of `wasi:filesystem` that use the system's resources: a limited number of open files,
//! and only regular files and folders.

use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, DirectoryEntryStream, ErrorCode, Filesize, HostDescriptor as _, OpenFlags,
    PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, FsResult};

use super::holdings;
use crate::descriptors;

/// The most files, folders and streams of them that a run may have open.
const MAX_FILES: usize = 64;
/// The system's limit for a path.
const MAX_PATH_BYTES: usize = 4096;
/// How long to wait for other runs to close files.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(5);

type Answer<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

/// The permits of a run's open files, taken from those of all guests.
pub(super) struct FilesCtx {
    /// One permit for each file that the guest opened.
    open: Vec<OwnedSemaphorePermit>,
    /// Granted folders, which are open from the start.
    granted: usize,
    _granted: Option<OwnedSemaphorePermit>,
}

impl FilesCtx {
    /// State for `granted` folders, with their permits.
    pub(super) fn new(granted: usize, permits: Option<OwnedSemaphorePermit>) -> FilesCtx {
        FilesCtx { open: Vec::new(), granted, _granted: permits }
    }
}

/// The parts of a store that the interface uses.
pub(super) struct FilesView<'a> {
    pub(super) ctx: &'a mut FilesCtx,
    pub(super) wasi: WasiFilesystemCtxView<'a>,
}

/// Replaces functions of wasmtime-wasi with ours, which check the limits and then call them.
pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> FilesView<'_>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    // The version that wasmtime-wasi implements. With another version, these would form a second
    // interface, which the test `budgets` would detect.
    let mut types = linker.instance("wasi:filesystem/types@0.2.12")?;
    types.func_wrap_async(
        "[method]descriptor.open-at",
        move |mut context,
              (this, path_flags, path, open_flags, flags): (
            Resource<Descriptor>,
            PathFlags,
            String,
            OpenFlags,
            DescriptorFlags,
        )| {
            Box::new(async move { view(context.data_mut()).open_at(this, path_flags, path, open_flags, flags).await })
        },
    )?;
    types.func_wrap_async(
        "[method]descriptor.read-directory",
        move |mut context, (this,): (Resource<Descriptor>,)| {
            Box::new(async move { view(context.data_mut()).read_directory(this).await })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.read-via-stream",
        move |mut context, (this, offset): (Resource<Descriptor>, Filesize)| {
            view(context.data_mut()).read_via_stream(this, offset)
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

impl FilesView<'_> {
    async fn open_at(
        &mut self,
        this: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> Answer<Resource<Descriptor>> {
        if path.len() > MAX_PATH_BYTES {
            return Ok((Err(ErrorCode::NameTooLong),));
        }
        let Some(permit) = self.acquire_file_permit().await else { return Ok((Err(ErrorCode::Quota),)) };
        // Opening a FIFO blocks a thread until the other end is opened, and opening a device may do
        // anything.
        match self.wasi.stat_at(Resource::new_borrow(this.rep()), path_flags, path.clone()).await {
            Ok(found)
                if matches!(
                    found.type_,
                    DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink
                ) => {}
            Ok(_) => return Ok((Err(ErrorCode::NotPermitted),)),
            Err(error) => return Ok((Err(error.downcast()?),)),
        }
        let opened = self.wasi.open_at(this, path_flags, path, open_flags, flags).await;
        self.opened(permit, opened)
    }

    async fn read_directory(&mut self, this: Resource<Descriptor>) -> Answer<Resource<DirectoryEntryStream>> {
        let Some(permit) = self.acquire_file_permit().await else { return Ok((Err(ErrorCode::Quota),)) };
        let opened = self.wasi.read_directory(this).await;
        self.opened(permit, opened)
    }

    /// A stream of an open file, which keeps the file open even after its descriptor is dropped.
    fn read_via_stream(&mut self, this: Resource<Descriptor>, offset: Filesize) -> Answer<Resource<DynInputStream>> {
        let permit = self.has_room_for_file().then(|| descriptors::of_guests().try_acquire_owned().ok()).flatten();
        let Some(permit) = permit else { return Ok((Err(ErrorCode::Quota),)) };
        let opened = self.wasi.read_via_stream(this, offset);
        self.opened(permit, opened)
    }

    fn opened<T>(&mut self, permit: OwnedSemaphorePermit, opened: FsResult<T>) -> Answer<T> {
        match opened {
            Ok(file) => {
                self.ctx.open.push(permit);
                Ok((Ok(file),))
            }
            Err(error) => Ok((Err(error.downcast()?),)),
        }
    }

    /// Whether the run may open one more file. Returns the permits of files that it has closed.
    fn has_room_for_file(&mut self) -> bool {
        let open = holdings::files(self.wasi.table);
        self.ctx.open.truncate(open);
        open < MAX_FILES + self.ctx.granted
    }

    async fn acquire_file_permit(&mut self) -> Option<OwnedSemaphorePermit> {
        if !self.has_room_for_file() {
            return None;
        }
        tokio::time::timeout(PERMIT_TIMEOUT, descriptors::of_guests().acquire_owned()).await.ok()?.ok()
    }
}
