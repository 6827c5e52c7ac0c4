//! Chains against all that a kernel may answer, and against the kernel that is there.

use std::{cell::RefCell, fs::File, os::fd::OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};

use super::*;

/// What the simulated kernel does with a chain.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Writes so many of the bytes (at most), and flushes where that is all of them.
    Writes(usize),
    /// Writes all, and the flush answers this.
    WritesThenSync(Errno),
    /// The write answers this, and the flush is cancelled.
    Fails(Errno),
    /// Takes the write alone; writes so many bytes. The flush runs before the write does.
    Unchained(usize),
    /// Takes the write alone, and never the flush.
    TakesOne,
    /// Takes nothing.
    TakesNothing,
}

/// A file whose bytes are durable only when it was told so.
#[derive(Debug, Default)]
struct Model {
    written: RefCell<Vec<u8>>,
    durable: RefCell<Vec<u8>>,
}

impl Model {
    fn write(&self, bytes: &[u8], offset: u64) {
        let mut written = self.written.borrow_mut();
        let end = offset as usize + bytes.len();
        if written.len() < end {
            written.resize(end, 0);
        }
        written[offset as usize..end].copy_from_slice(bytes);
    }

    fn sync(&self) {
        self.durable.borrow_mut().clone_from(&self.written.borrow());
    }

    fn chain(&self, act: Act, bytes: &[u8], offset: u64) -> Option<Linked> {
        let cancelled = Some(-Errno::CANCELED.raw_os_error());
        let answer = |errno: Errno| Some(-errno.raw_os_error());
        let wrote = |count: usize| {
            let count = count.clamp(1, bytes.len());
            self.write(&bytes[..count], offset);
            Some(count as i32)
        };
        let linked = |written, synced, chained| {
            Some(Linked {
                written,
                synced,
                chained,
            })
        };
        match act {
            Act::Writes(count) if count < bytes.len() => linked(wrote(count), cancelled, true),
            Act::Writes(count) => {
                let written = wrote(count);
                self.sync();
                linked(written, Some(0), true)
            }
            Act::WritesThenSync(errno) => linked(wrote(usize::MAX), answer(errno), true),
            Act::Fails(errno) => linked(answer(errno), cancelled, true),
            Act::Unchained(count) => {
                self.sync();
                linked(wrote(count), Some(0), false)
            }
            Act::TakesOne => linked(wrote(usize::MAX), None, false),
            Act::TakesNothing => None,
        }
    }
}

/// The model as a file, for what is done without a ring. One thread uses it.
#[derive(Debug)]
struct ModelFile(Mutex<Model>);

impl VfsFile for ModelFile {
    fn read_at(&self, _buf: &mut [u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let count = buf.len().min(1000);
        self.0.lock().write(&buf[..count], offset);
        Ok(count)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().written.borrow().len() as u64)
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn allocate(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.lock().sync();
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Whatever the kernel answers: what was acknowledged is durable to the last byte, and an error of
/// a write or a flush is not lost.
#[test]
fn what_is_acknowledged_is_durable() {
    let mut random = fastrand::Rng::with_seed(11);
    let (mut acknowledged, mut refused) = (0, 0);
    for _ in 0..3000 {
        let file = ModelFile(Mutex::default());
        let mut expected = Vec::new();
        for _ in 0..random.usize(1..6) {
            let bytes: Vec<u8> = (0..random.usize(..5000)).map(|_| random.u8(1..)).collect();
            let offset = expected.len() as u64;
            expected.extend_from_slice(&bytes);
            let mut must_fail = false;
            let mut chain = |rest: &[u8], at: u64| {
                let act = match random.u8(..16) {
                    0 => Act::WritesThenSync(Errno::CANCELED),
                    1 => Act::WritesThenSync(Errno::INTR),
                    2 => Act::WritesThenSync(Errno::IO),
                    3 => Act::Fails(Errno::AGAIN),
                    4 => Act::Fails(Errno::INTR),
                    5 => Act::Fails(Errno::CANCELED),
                    6 => Act::Fails(Errno::NOSPC),
                    7 => Act::Unchained(random.usize(..6000)),
                    8 => Act::TakesOne,
                    9 => Act::TakesNothing,
                    _ => Act::Writes(random.usize(..6000)),
                };
                must_fail |= matches!(
                    act,
                    Act::WritesThenSync(Errno::IO | Errno::CANCELED) | Act::Fails(Errno::NOSPC)
                );
                file.0.lock().chain(act, rest, at)
            };
            let done = write_synced(&file, &bytes, offset, &mut chain);
            assert_eq!(done.is_err(), must_fail);
            if done.is_err() {
                refused += 1;
                break;
            }
            acknowledged += 1;
            assert!(*file.0.lock().durable.borrow() == expected);
        }
    }
    assert!(
        acknowledged > 1000 && refused > 1000,
        "{acknowledged} {refused}"
    );
}

/// A ring over the system's files, or `None` where this kernel refuses one: then, and only then,
/// there is nothing to test.
pub(crate) fn ring_or_refusal() -> Option<UringVfs> {
    match UringVfs::new(OsVfs::new()) {
        Ok(vfs) => Some(vfs),
        Err(refusal) => {
            use io::ErrorKind::{OutOfMemory, PermissionDenied, Unsupported};
            let kind = refusal.kind();
            assert!(
                matches!(kind, OutOfMemory | PermissionDenied | Unsupported),
                "{refusal}"
            );
            eprintln!("not tested, as the kernel refuses io_uring: {refusal}");
            None
        }
    }
}

fn chains(vfs: &UringVfs) -> u64 {
    vfs.ring.lock().as_ref().unwrap().chains()
}

#[test]
fn a_write_and_its_flush_are_one_chain() {
    let Some(vfs) = ring_or_refusal() else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = vfs.open(&dir.path().join("file"), OpenMode::CreateNew);
    let file = file.unwrap();
    let mut random = fastrand::Rng::with_seed(2);
    let mut model: Vec<u8> = Vec::new();
    for round in 0..60 {
        let offset = random.usize(..model.len() + 1);
        let bytes = vec![round; random.usize(..40_000)];
        model.resize(model.len().max(offset + bytes.len()), 0);
        model[offset..offset + bytes.len()].copy_from_slice(&bytes);
        file.write_synced_at(&bytes, offset as u64).unwrap();
    }
    file.write_synced_at(&[], 0).unwrap();
    let mut found = vec![0; model.len()];
    file.read_exact_at(&mut found, 0).unwrap();
    assert!(found == model && file.len().unwrap() == model.len() as u64);
    assert!(chains(&vfs) >= 55, "{}", chains(&vfs));
}

/// The kernel cuts a write short where the file may not grow: what fits is written, the flush is
/// cancelled, and the rest is tried by itself and fails.
#[test]
fn a_short_write_breaks_the_chain() {
    let Some(vfs) = ring_or_refusal() else { return };
    let memory = rustix::fs::memfd_create("short", MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&memory, 8192).unwrap();
    rustix::fs::fcntl_add_seals(&memory, SealFlags::GROW).unwrap();
    let file = over(&vfs, memory);
    let error = file.write_synced_at(&[7; 12_288], 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(chains(&vfs), 2, "the whole, and the rest");
    let mut found = vec![0; 8192];
    file.read_exact_at(&mut found, 0).unwrap();
    assert!(found.iter().all(|byte| *byte == 7));
    // The ring goes on.
    file.write_synced_at(&[8; 4096], 4096).unwrap();
    assert_eq!(chains(&vfs), 3);
}

#[test]
fn a_full_disk_and_a_file_for_reading_fail_the_chain() {
    let Some(vfs) = ring_or_refusal() else { return };
    let full = vfs.open(Path::new("/dev/full"), OpenMode::ReadWrite);
    let error = full.unwrap().write_synced_at(b"bytes", 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    vfs.open(&path, OpenMode::CreateNew).unwrap();
    let file = vfs.open(&path, OpenMode::ReadOnly).unwrap();
    let error = file.write_synced_at(b"bytes", 0).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::BADF.raw_os_error()));
    assert_eq!(file.len().unwrap(), 0);
}

/// Without a ring, as after it has failed, files go on by system calls.
#[test]
fn without_a_ring_both_are_system_calls() {
    let dir = tempfile::tempdir().unwrap();
    let vfs = UringVfs {
        os: OsVfs::new(),
        ring: SharedRing::default(),
    };
    let file = vfs.open(&dir.path().join("file"), OpenMode::CreateNew);
    let file = file.unwrap();
    file.write_synced_at(b"bytes", 3).unwrap();
    assert_eq!(file.len().unwrap(), 8);
}

#[test]
fn threads_share_the_ring() {
    let Some(vfs) = ring_or_refusal() else { return };
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let (vfs, path) = (&vfs, dir.path().join(thread.to_string()));
            scope.spawn(move || {
                let file = vfs.open(&path, OpenMode::CreateNew).unwrap();
                for round in 0..30_u64 {
                    let bytes = [thread; 500];
                    file.write_synced_at(&bytes, round * 500).unwrap();
                }
                let mut found = vec![0; 15_000];
                file.read_exact_at(&mut found, 0).unwrap();
                assert!(found.iter().all(|byte| *byte == thread));
            });
        }
    });
    assert_eq!(chains(&vfs), 120);
}

fn over(vfs: &UringVfs, file: OwnedFd) -> UringFile {
    UringFile {
        file: OsFile::new(File::from(file)),
        ring: Arc::clone(&vfs.ring),
    }
}
