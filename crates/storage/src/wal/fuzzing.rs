//! Arbitrary log records.

use std::path::Path;

use super::{
    BatchReader, WalPosition,
    format::{
        FIRST_RECORD, MAX_PAYLOAD, RecordHeader, RecordKind, SegmentHeader, padded, payload_crc,
    },
    read,
    segment::path_of,
};
use crate::{
    env::Env,
    fuzzing::take_piece,
    lsn::Lsn,
    vfs::{OpenMode, Vfs},
    vfs_memory::MemoryVfs,
};

const SALT: u64 = 7;
const STORE: [u8; 16] = [3; 16];

/// A segment of records that verify, then the rest as it is.
pub(crate) fn records(mut data: &[u8]) {
    let header = SegmentHeader {
        sequence: 1,
        salt: SALT,
        store: STORE,
        size: 64 << 10,
        created: 0,
    };
    let (head, crc) = header.encode();
    let mut segment = vec![0; FIRST_RECORD as usize];
    segment[..head.len()].copy_from_slice(&head);
    let (mut chain, mut lsn) = (crc, 0_u64);
    let count = data.split_off_first().map_or(0, |count| count % 8);
    for _ in 0..count {
        let Some(piece) = take_piece(&mut data) else {
            break;
        };
        let [flags, step, durable, raw_len, payload @ ..] = piece else {
            break;
        };
        let mut stored = payload.to_vec();
        stored.resize(padded(payload.len()), 0);
        lsn = lsn.wrapping_add(u64::from(*step));
        let lz4 = flags & 4 != 0;
        let record = RecordHeader {
            previous: chain ^ u32::from(flags & 16),
            lsn,
            durable: lsn.wrapping_sub(u64::from(*durable)),
            stored_len: payload.len() as u32,
            raw_len: match lz4 {
                true => (usize::from(*raw_len) << 11).min(MAX_PAYLOAD) as u32,
                false => payload.len() as u32,
            },
            payload_crc: payload_crc(&stored),
            kind: match flags & 8 {
                0 => RecordKind::Batch,
                _ => RecordKind::End,
            },
            first: flags & 1 != 0,
            last: flags & 2 != 0,
            lz4,
        };
        let (bytes, crc) = record.encode(SALT, segment.len() as u64);
        segment.extend_from_slice(&bytes);
        segment.extend_from_slice(&stored);
        chain = crc;
    }
    segment.extend_from_slice(data);
    segment.resize(header.size as usize, 0);
    let vfs = MemoryVfs::new();
    let dir = Path::new("/wal");
    let written = vfs.create_dir_all(dir).and_then(|()| {
        let file = vfs.open(&path_of(dir, 1), OpenMode::CreateNew)?;
        file.write_all_at(&segment, 0)
    });
    assert!(written.is_ok(), "memory takes a file");
    let start = WalPosition {
        sequence: 1,
        salt: SALT,
        offset: FIRST_RECORD,
        chain: crc,
    };
    let mut replay = |_: Lsn, payload: &[u8]| {
        let mut batch = BatchReader::new(payload);
        while let Ok(Some(_)) = batch.next() {}
        Ok(())
    };
    let env = Env::with_vfs(vfs);
    let _ = read(&env, dir, STORE, (start, Lsn::ZERO), true, &mut replay);
}
