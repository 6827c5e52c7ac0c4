//! Open files and held locks of a [`SimVfs`].

use std::{
    hash::{BuildHasher, Hasher},
    io,
    path::PathBuf,
};

use rustling_storage::{VfsFile, VfsLock};

use super::{
    disk::{Effect, MAX_FILE_LEN, NodeId},
    fault::{Fault, OperationKind},
    state::{EBADF, EFBIG, EIO, Held, os},
    vfs::SimVfs,
};

/// A held lock.
#[derive(Debug)]
pub(super) struct SimLock {
    pub(super) vfs: SimVfs,
    pub(super) node: NodeId,
}

impl VfsLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut inner = self.vfs.inner.lock();
        if inner.process == self.vfs.process {
            match inner.locks.get(&self.node) {
                Some(Held::Shared(count)) if *count > 1 => {
                    let count = count - 1;
                    inner.locks.insert(self.node, Held::Shared(count));
                }
                _ => {
                    inner.locks.remove(&self.node);
                }
            }
            inner.release(self.node);
        }
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct SimFile {
    pub(super) vfs: SimVfs,
    pub(super) node: NodeId,
    pub(super) path: PathBuf,
    pub(super) writable: bool,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut inner = self.vfs.inner.lock();
        if inner.process == self.vfs.process {
            inner.release(self.node);
        }
    }
}

impl SimFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(os(EBADF))
        }
    }

    fn sync(&self, kind: OperationKind, effect: Effect) -> io::Result<()> {
        self.vfs.operation(
            kind,
            &self.path,
            (0, 0),
            |inner, index, fault| {
                if fault == Some(Fault::SyncErrorThenClean) {
                    inner.effect(index, Effect::AbandonPending { file: self.node });
                    return Err(os(EIO));
                }
                inner.effect(index, effect);
                Ok(())
            },
            |()| 0,
        )
    }
}

impl VfsFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let arguments = (offset, buf.len() as u64);
        self.vfs.operation(
            OperationKind::Read,
            &self.path,
            arguments,
            |inner, index, fault| inner.read(index, self.node, buf, offset, fault),
            |count| *count as u64,
        )
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        let mut hasher = foldhash::fast::FixedState::with_seed(0).build_hasher();
        hasher.write(buf);
        self.vfs.operation(
            OperationKind::Write,
            &self.path,
            (offset, hasher.finish()),
            |inner, index, fault| inner.write(index, self.node, buf, offset, fault),
            |count| *count as u64,
        )
    }

    fn len(&self) -> io::Result<u64> {
        self.vfs.operation(
            OperationKind::Len,
            &self.path,
            (0, 0),
            |inner, index, fault| {
                inner.damage(index, self.node, fault)?;
                Ok(inner.disk.file(self.node)?.live.len())
            },
            |len| *len,
        )
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.vfs.operation(
            OperationKind::SetLen,
            &self.path,
            (len, 0),
            |inner, index, _| {
                if len > MAX_FILE_LEN {
                    return Err(os(EFBIG));
                }
                inner.effect(
                    index,
                    Effect::SetLen {
                        file: self.node,
                        len,
                    },
                );
                Ok(())
            },
            |()| 0,
        )
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.vfs.operation(
            OperationKind::Allocate,
            &self.path,
            (len, 0),
            |inner, index, _| {
                if len > MAX_FILE_LEN {
                    return Err(os(EFBIG));
                }
                inner.check_space(inner.disk.file(self.node)?.extra_charge(0, len))?;
                inner.effect(
                    index,
                    Effect::Allocate {
                        file: self.node,
                        len,
                    },
                );
                Ok(())
            },
            |()| 0,
        )
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(
            OperationKind::SyncData,
            Effect::SyncData { file: self.node },
        )
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(OperationKind::SyncAll, Effect::SyncAll { file: self.node })
    }
}
