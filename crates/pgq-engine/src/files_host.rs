//! `wasi:filesystem`, where it takes something of the system's: so many files at a time, and
//! nothing that is neither file nor folder.

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

/// Files, folders and streams of them that a run may have open at a time.
const MAX_FILES: usize = 64;
/// As the system has it.
const MAX_PATH_BYTES: usize = 4096;
/// For other runs to close some.
const PATIENCE: Duration = Duration::from_secs(5);

type Answer<T> = wasmtime::Result<(Result<T, ErrorCode>,)>;

/// The open files of a run, as places among those of all guests.
pub(super) struct FilesCtx {
    /// One for each that the guest opened.
    open: Vec<OwnedSemaphorePermit>,
    /// Folders that it was granted, which are open from the beginning.
    granted: usize,
    _granted: Option<OwnedSemaphorePermit>,
}

impl FilesCtx {
    /// `granted` folders, and the places that they have.
    pub(super) fn new(granted: usize, places: Option<OwnedSemaphorePermit>) -> FilesCtx {
        FilesCtx { open: Vec::new(), granted, _granted: places }
    }
}

/// What the interface has of a store.
pub(super) struct FilesView<'a> {
    pub(super) ctx: &'a mut FilesCtx,
    pub(super) wasi: WasiFilesystemCtxView<'a>,
}

/// In the place of those of wasmtime-wasi, which they call.
pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> FilesView<'_>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    // The version that wasmtime-wasi has: under another name, these would be a second interface,
    // which the test `budgets` would find.
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
        let Some(place) = self.place_for_a_file().await else { return Ok((Err(ErrorCode::Quota),)) };
        // To open a FIFO waits for its other end, on a thread that nobody gets back, and to open a
        // device may do anything.
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
        self.opened(place, opened)
    }

    async fn read_directory(&mut self, this: Resource<Descriptor>) -> Answer<Resource<DirectoryEntryStream>> {
        let Some(place) = self.place_for_a_file().await else { return Ok((Err(ErrorCode::Quota),)) };
        let opened = self.wasi.read_directory(this).await;
        self.opened(place, opened)
    }

    /// Of a file that is open: the stream has it open when its descriptor is gone.
    fn read_via_stream(&mut self, this: Resource<Descriptor>, offset: Filesize) -> Answer<Resource<DynInputStream>> {
        let place = self.is_place_for_a_file().then(|| descriptors::of_guests().try_acquire_owned().ok()).flatten();
        let Some(place) = place else { return Ok((Err(ErrorCode::Quota),)) };
        let opened = self.wasi.read_via_stream(this, offset);
        self.opened(place, opened)
    }

    fn opened<T>(&mut self, place: OwnedSemaphorePermit, opened: FsResult<T>) -> Answer<T> {
        match opened {
            Ok(file) => {
                self.ctx.open.push(place);
                Ok((Ok(file),))
            }
            Err(error) => Ok((Err(error.downcast()?),)),
        }
    }

    /// Whether the run may have one more. What it has closed meanwhile is others'.
    fn is_place_for_a_file(&mut self) -> bool {
        let open = holdings::files(self.wasi.table);
        self.ctx.open.truncate(open);
        open < MAX_FILES + self.ctx.granted
    }

    async fn place_for_a_file(&mut self) -> Option<OwnedSemaphorePermit> {
        if !self.is_place_for_a_file() {
            return None;
        }
        tokio::time::timeout(PATIENCE, descriptors::of_guests().acquire_owned()).await.ok()?.ok()
    }
}
