//! The log's writing end: records get their LSN and their place in the log's buffer under a short
//! lock; whoever flushes writes the buffer and syncs the file once for everyone.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use super::{
    archive::{LogArchive, LogSegment},
    buffer::{LogBuffer, Pending, Run},
    encode::EncodedBatch,
    format::{END_RECORD, FIRST_RECORD, StoreId},
    reader::Tail,
    segment::{self, Segment},
};
use crate::{
    durability,
    env::Env,
    error::Result,
    lsn::Lsn,
    poison::Poison,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
    waits::{WaitPoint, Waits},
};

/// A committer whose record makes the buffer larger than this writes it out, unsynced.
const WRITE_BEHIND: usize = 1 << 20;
/// The first segment after opening is at most this large, so that short sessions stay cheap;
/// each one after it is twice as large, up to the configured size.
const FIRST_SIZE: u64 = 1 << 20;
/// The smallest segment.
pub(crate) const MIN_SEGMENT: u64 = 16 << 10;

/// A place in the log, between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WalPosition {
    /// The segment.
    pub(crate) sequence: u64,
    /// Its salt.
    pub(crate) salt: u64,
    /// Offset of the next record.
    pub(crate) offset: u64,
    /// Checksum that the next record names as its predecessor's.
    pub(crate) chain: u32,
}

/// The writing end of the log.
#[derive(Debug)]
pub(crate) struct Wal {
    env: Env,
    dir: PathBuf,
    store: StoreId,
    segment_bytes: u64,
    kept_segments: usize,
    archive: Option<Arc<dyn LogArchive>>,
    poison: Arc<Poison>,
    buffer: Mutex<LogBuffer>,
    writer: Mutex<Writer>,
    creation: Mutex<Creation>,
    /// A segment that is durable, empty and not yet referred to.
    prepared: Mutex<Option<Arc<Segment>>>,
    /// Segments that have not been unlinked.
    segments: Mutex<BTreeSet<u64>>,
    /// Segments before this one are needed by nobody but the archive.
    retired: AtomicU64,
    /// Held by whoever hands segments to the archive and removes them.
    removing: Mutex<()>,
    /// How often the archive has refused a segment, and why it did the last time.
    refused: Mutex<(u64, Option<String>)>,
    durable: AtomicU64,
    appended_bytes: AtomicU64,
    /// [`EncodedBatch::replay_work`] of all that was appended.
    appended_work: AtomicU64,
    /// Whether the current segment is half full and has no successor yet.
    wants_segment: AtomicBool,
    fsync_wait: WaitPoint,
    append_wait: WaitPoint,
    writer_wait: WaitPoint,
    creation_wait: WaitPoint,
}

#[derive(Debug)]
struct Writer {
    /// Whether bytes were written since the last sync.
    unsynced: bool,
    /// The newest commit that has been written whole.
    written: u64,
}

#[derive(Debug)]
struct Creation {
    next_sequence: u64,
    next_size: u64,
}

/// What is in a new segment behind its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    /// Zeros, so that flushes need not wait for the file system's journal.
    Zeros,
    /// Room only: somebody waits for the segment.
    Nothing,
}

/// Whether what is written is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    /// With its last byte.
    Now,
    /// By whoever flushes next.
    Later,
}

/// How the log is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct WalOptions {
    /// Bytes of a segment; more where one batch needs more.
    pub(crate) segment_bytes: u64,
    /// Segments that are kept although nothing needs them, the newest of them.
    pub(crate) kept_segments: usize,
    /// Who takes segments before they are removed.
    pub(crate) archive: Option<Arc<dyn LogArchive>>,
}

impl Wal {
    /// Makes the first segment of a new store in `dir`, which must exist.
    pub(crate) fn create(
        env: &Env,
        dir: &Path,
        store: StoreId,
        options: &WalOptions,
        poison: &Arc<Poison>,
        waits: &Waits,
    ) -> Result<Wal> {
        let size = options
            .segment_bytes
            .clamp(MIN_SEGMENT, FIRST_SIZE.max(MIN_SEGMENT));
        let segment = Arc::new(Segment::create(env, dir, (1, size), store, true, poison)?);
        let chain = segment.header_crc;
        let buffer = LogBuffer::new(Lsn::ZERO, chain, segment, FIRST_RECORD, false);
        let segments = BTreeSet::from([1]);
        let creation = Creation {
            next_sequence: 2,
            next_size: size * 2,
        };
        Ok(Wal::assemble(
            env,
            dir,
            store,
            options,
            poison,
            waits,
            (buffer, segments, creation),
        ))
    }

    /// Goes on where `tail` ends. Nothing is written before the first batch is: that one starts
    /// a new segment.
    pub(crate) fn resume(
        env: &Env,
        dir: &Path,
        store: StoreId,
        options: &WalOptions,
        poison: &Arc<Poison>,
        waits: &Waits,
        tail: Tail,
    ) -> Wal {
        let creation = Creation {
            next_sequence: tail
                .sequences
                .last()
                .copied()
                .unwrap_or(0)
                .max(tail.position.sequence)
                + 1,
            next_size: FIRST_SIZE,
        };
        let Tail {
            lsn,
            position,
            segment,
            sequences,
            bytes,
            ..
        } = tail;
        let buffer = LogBuffer::new(lsn, position.chain, segment, position.offset, true);
        let segments = sequences.into_iter().collect();
        let wal = Wal::assemble(
            env,
            dir,
            store,
            options,
            poison,
            waits,
            (buffer, segments, creation),
        );
        // What was replayed would have to be replayed again.
        wal.appended_bytes.store(bytes, Ordering::Relaxed);
        wal
    }

    fn assemble(
        env: &Env,
        dir: &Path,
        store: StoreId,
        options: &WalOptions,
        poison: &Arc<Poison>,
        waits: &Waits,
        (buffer, segments, creation): (LogBuffer, BTreeSet<u64>, Creation),
    ) -> Wal {
        let last = buffer.last().0;
        Wal {
            env: env.clone(),
            dir: dir.to_path_buf(),
            store,
            segment_bytes: options.segment_bytes.max(MIN_SEGMENT),
            kept_segments: options.kept_segments,
            archive: options.archive.clone(),
            poison: Arc::clone(poison),
            buffer: Mutex::new(buffer),
            writer: Mutex::new(Writer {
                unsynced: false,
                written: last,
            }),
            creation: Mutex::new(creation),
            prepared: Mutex::new(None),
            segments: Mutex::new(segments),
            retired: AtomicU64::new(0),
            removing: Mutex::new(()),
            refused: Mutex::default(),
            durable: AtomicU64::new(last),
            appended_bytes: AtomicU64::new(0),
            appended_work: AtomicU64::new(0),
            wants_segment: AtomicBool::new(false),
            fsync_wait: waits.point("wal.fsync"),
            append_wait: waits.point("wal.append"),
            writer_wait: waits.point("wal.writer"),
            creation_wait: waits.point("wal.segment"),
        }
    }

    /// Appends a batch to the log buffer and answers its LSN. It is durable after a flush.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where the disk has no room for another segment: nothing has happened then.
    /// [`Error::Poisoned`](crate::Error::Poisoned), and [`Error::Io`](crate::Error::Io) of a failed write, which
    /// poisons: the batch has an LSN then that nobody is told.
    pub(crate) fn append(&self, batch: &mut EncodedBatch) -> Result<Lsn> {
        let needed = batch.log_bytes() as u64;
        let (lsn, pending) = loop {
            let mut buffer = match self.buffer.try_lock() {
                Some(buffer) => buffer,
                None => self.append_wait.time(|| self.buffer.lock()),
            };
            self.poison.check()?;
            if buffer.room() >= needed {
                let half = buffer.segment().header.size / 2;
                let was_below = buffer.offset() <= half;
                let lsn = buffer.push_batch(batch, self.durable.load(Ordering::Acquire));
                if was_below && buffer.offset() > half {
                    self.wants_segment.store(true, Ordering::Relaxed);
                }
                break (lsn, buffer.bytes());
            }
            let next = self.prepared.lock().take_if(|next| room_in(next) >= needed);
            match next {
                Some(next) => buffer.switch_to(next, self.durable.load(Ordering::Acquire)),
                None => {
                    drop(buffer);
                    self.creation_wait
                        .time(|| self.prepare(needed, Fill::Nothing))?;
                }
            }
        };
        self.appended_bytes.fetch_add(needed, Ordering::Relaxed);
        self.add_work(batch.replay_work());
        if pending > WRITE_BEHIND {
            self.write_out()?;
        }
        Ok(lsn)
    }

    /// Makes sure that the segment after the current one exists and takes `needed` bytes.
    fn prepare(&self, needed: u64, fill: Fill) -> Result<()> {
        let mut creation = self.creation.lock();
        let unfit = {
            let mut prepared = self.prepared.lock();
            if prepared
                .as_ref()
                .is_some_and(|next| room_in(next) >= needed)
            {
                return Ok(());
            }
            prepared.take()
        };
        if let Some(unfit) = unfit {
            // Nothing refers to it and nothing will: the next one takes another number.
            self.unlink(unfit.header.sequence);
        }
        let usual = creation.next_size.min(self.segment_bytes);
        let wanted = (needed + FIRST_RECORD + END_RECORD as u64).next_multiple_of(FIRST_RECORD);
        let size = usual.max(wanted);
        let sequence = creation.next_sequence;
        // A number is spent even where its file could not be made.
        creation.next_sequence += 1;
        // A segment for one huge batch is written once: zeros would double its cost.
        let fill = fill == Fill::Zeros && size == usual;
        let segment = Segment::create(
            &self.env,
            &self.dir,
            (sequence, size),
            self.store,
            fill,
            &self.poison,
        )?;
        creation.next_size = (usual * 2).min(self.segment_bytes);
        self.segments.lock().insert(sequence);
        *self.prepared.lock() = Some(Arc::new(segment));
        Ok(())
    }

    /// Whether [`Wal::prepare_ahead`] would make a segment.
    pub(crate) fn wants_segment(&self) -> bool {
        self.wants_segment.load(Ordering::Relaxed)
    }

    /// Makes the next segment ahead of time once the current one is half full. For a background
    /// thread; a failure other than a full disk poisons.
    pub(crate) fn prepare_ahead(&self) -> Result<()> {
        if self.wants_segment.swap(false, Ordering::Relaxed) && self.prepared.lock().is_none() {
            self.prepare(0, Fill::Zeros)?;
        }
        Ok(())
    }

    /// Goes on in a segment of the smallest size, where the current one or the one after it is
    /// larger: the next checkpoint leaves no more than that of the log. For a store at rest.
    /// Answers whether there is anything for that checkpoint to remove.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) where the disk has no room for another segment: nothing has
    /// happened then. [`Error::Poisoned`](crate::Error::Poisoned).
    pub(crate) fn shrink(&self) -> Result<bool> {
        let smallest = FIRST_SIZE.min(self.segment_bytes);
        let size = self.buffer.lock().segment().header.size;
        self.creation.lock().next_size = smallest;
        let large = |next: &mut Arc<Segment>| next.header.size > smallest;
        let unfit = self.prepared.lock().take_if(large);
        if let Some(unfit) = unfit {
            self.unlink(unfit.header.sequence);
        }
        if size <= smallest {
            return Ok(false);
        }
        self.prepare(0, Fill::Zeros)?;
        {
            let mut buffer = self.buffer.lock();
            self.poison.check()?;
            if let Some(next) = self.prepared.lock().take() {
                buffer.switch_to(next, self.durable.load(Ordering::Acquire));
            }
        }
        // A record that waits to be written would keep the old segment open, and with it its room.
        self.flush()?;
        Ok(true)
    }

    /// Writes what is buffered without making it durable.
    fn write_out(&self) -> Result<()> {
        let mut writer = match self.writer.try_lock() {
            Some(writer) => writer,
            None => self.writer_wait.time(|| self.writer.lock()),
        };
        self.write_pending(&mut writer, Flush::Later).map(|_| ())
    }

    /// Makes everything appended so far durable and answers up to where the log is durable.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), which poisons; [`Error::Poisoned`](crate::Error::Poisoned).
    pub(crate) fn flush(&self) -> Result<Lsn> {
        let mut writer = self.writer.lock();
        let segment = self.write_pending(&mut writer, Flush::Now)?;
        // What was written out before, where nothing came after it.
        if writer.unsynced {
            self.sync(&segment)?;
            writer.unsynced = false;
        }
        self.durable.fetch_max(writer.written, Ordering::AcqRel);
        Ok(Lsn(self.durable.load(Ordering::Acquire)))
    }

    fn sync(&self, segment: &Segment) -> Result<()> {
        self.fsync_wait
            .time(|| durability::sync_data(&*segment.file, &segment.path, &self.poison))
    }

    /// Writes the buffer, flushes it or not, and answers the segment that its end is in.
    fn write_pending(&self, writer: &mut Writer, flush: Flush) -> Result<Arc<Segment>> {
        let Pending {
            runs,
            last,
            segment,
        } = self.buffer.lock().take();
        self.poison.check()?;
        let count = runs.len();
        for (index, run) in runs.iter().enumerate() {
            let Segment { file, path, .. } = &*run.segment;
            let (bytes, offset) = (&run.bytes, run.offset);
            // Its successor's records prove that a segment is complete.
            if run.ends || (flush == Flush::Now && index + 1 == count) {
                self.fsync_wait.time(|| {
                    durability::write_synced(&**file, path, bytes, offset, &self.poison)
                })?;
                writer.unsynced = false;
            } else {
                durability::write(&**file, path, bytes, offset, &self.poison)?;
                writer.unsynced = true;
            }
        }
        writer.written = last;
        let buffers = runs.into_iter().map(Run::into_buffer);
        self.buffer.lock().give_back(buffers);
        Ok(segment)
    }

    /// The newest durable commit.
    pub(crate) fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    /// The newest commit that has an LSN.
    pub(crate) fn last_lsn(&self) -> Lsn {
        self.buffer.lock().last()
    }

    /// The place behind the newest record, and that record's commit.
    pub(crate) fn position(&self) -> (Lsn, WalPosition) {
        let buffer = self.buffer.lock();
        (buffer.last(), buffer.position())
    }

    /// How much there is to do to replay what was appended since the log was opened, and what was
    /// replayed then; see [`EncodedBatch::replay_work`].
    pub(crate) fn appended_work(&self) -> u64 {
        self.appended_work.load(Ordering::Relaxed)
    }

    /// Counts work that a commit leaves to its replay beside its bytes.
    pub(crate) fn add_work(&self, work: u64) {
        self.appended_work.fetch_add(work, Ordering::Relaxed);
    }

    /// Bytes appended since the log was opened, and those replayed then.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.appended_bytes.load(Ordering::Relaxed)
    }

    /// Segments on disk.
    pub(crate) fn segment_count(&self) -> usize {
        self.segments.lock().len()
    }

    /// How often the archive has refused a segment, and why it did the last time.
    pub(crate) fn archive_failures(&self) -> (u64, Option<String>) {
        self.refused.lock().clone()
    }

    /// Says that nothing needs the segments before that of `position`, which a durable checkpoint
    /// names: [`Wal::remove_retired`] removes them.
    pub(crate) fn retire_before(&self, position: &WalPosition) {
        self.retired.fetch_max(position.sequence, Ordering::AcqRel);
    }

    /// Whether segments are handed over before they are removed, by code that may take any time.
    pub(crate) fn has_archive(&self) -> bool {
        self.archive.is_some()
    }

    /// Unlinks the segments that nothing needs, the oldest first, but for those that are to be kept
    /// or that the archive has not taken yet. Ends early where `goes_on` says no.
    pub(crate) fn remove_retired(&self, goes_on: impl Fn() -> bool) {
        let _one = self.removing.lock();
        let retired = self.retired.load(Ordering::Acquire);
        let mut old: Vec<u64> = self.segments.lock().range(..retired).copied().collect();
        old.truncate(old.len().saturating_sub(self.kept_segments));
        for sequence in old {
            if !goes_on() {
                return;
            }
            let path = segment::path_of(&self.dir, sequence);
            let segment = LogSegment {
                sequence,
                path: &path,
            };
            let taken = self.archive.as_ref().map(|to| to.archive(segment));
            if let Some(Err(error)) = taken {
                let mut refused = self.refused.lock();
                refused.0 += 1;
                refused.1 = Some(format!("log segment {sequence}: {error}"));
                return;
            }
            self.unlink(sequence);
        }
    }

    /// Unlinks segments that were found at opening and that nothing refers to.
    pub(crate) fn unlink_unreferenced(&self) {
        let current = self.buffer.lock().segment().header.sequence;
        let ahead: Vec<u64> = self.segments.lock().range(current + 1..).copied().collect();
        for sequence in ahead {
            self.unlink(sequence);
        }
    }

    /// A file that cannot be unlinked is tried again the next time.
    fn unlink(&self, sequence: u64) {
        if durability::unlink(&self.env, &segment::path_of(&self.dir, sequence)) {
            self.segments.lock().remove(&sequence);
        }
    }
}

/// Bytes of records that an empty segment takes, its last record aside.
fn room_in(segment: &Segment) -> u64 {
    segment.header.size - FIRST_RECORD - END_RECORD as u64
}
