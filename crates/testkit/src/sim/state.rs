//! The running simulation behind a [`super::SimVfs`]: disk, faults, locks and handles, and what
//! reads and writes do to them.

use std::{collections::BTreeMap, ffi::OsString, io, sync::Arc};

use super::{
    disk::{Disk, Effect, MAX_FILE_LEN, NodeId},
    fault::{Fault, FaultCounts, FaultPlan},
    recording::Recording,
};

pub(super) const EIO: i32 = 5;
pub(super) const EINTR: i32 = 4;
pub(super) const ENOSPC: i32 = 28;
pub(super) const EFBIG: i32 = 27;
pub(super) const EBADF: i32 = 9;

/// Where misdirected reads and writes land, and what a zeroed sector covers.
const SECTOR: u64 = 512;

/// The error that the system answers with this code.
pub(super) fn os(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

/// A lock's holders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Exclusive,
    Shared(usize),
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) disk: Disk,
    pub(super) operations: u64,
    pub(super) trace: u64,
    pub(super) recording: Option<Recording>,
    pub(super) faults: FaultPlan,
    pub(super) counts: FaultCounts,
    pub(super) capacity: Option<u64>,
    /// Which process may use the disk; handles of an earlier one are dead.
    pub(super) process: u64,
    pub(super) killed: bool,
    pub(super) locks: BTreeMap<NodeId, Held>,
    pub(super) handles: BTreeMap<NodeId, usize>,
}

impl Inner {
    pub(super) fn effect(&mut self, sequence: u64, effect: Effect) {
        self.disk.apply(sequence, &effect);
        if let Some(recording) = &mut self.recording {
            recording.push(sequence, effect, &self.disk);
        }
    }

    pub(super) fn create(
        &mut self,
        sequence: u64,
        directory: NodeId,
        name: OsString,
        is_directory: bool,
    ) -> NodeId {
        let node = NodeId(self.disk.next);
        self.effect(
            sequence,
            Effect::Create {
                directory,
                name,
                node,
                is_directory,
            },
        );
        node
    }

    /// Forgets a node once no name and no handle leads to it.
    pub(super) fn collect(&mut self, sequence: u64, node: NodeId) {
        if !self.handles.contains_key(&node)
            && self.disk.nodes.contains_key(&node)
            && !self.disk.is_linked(node)
        {
            self.effect(sequence, Effect::Forget { node });
        }
    }

    pub(super) fn check_space(&self, extra: u64) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if extra > 0 && self.disk.used() + extra > capacity => Err(os(ENOSPC)),
            _ => Ok(()),
        }
    }

    /// Faults at rest that an access to the file reveals.
    pub(super) fn damage(
        &mut self,
        index: u64,
        file: NodeId,
        fault: Option<Fault>,
    ) -> io::Result<()> {
        let len = self.disk.file(file)?.live.len();
        match fault {
            Some(Fault::Truncation) if len > 0 => {
                let len = self.faults.rng().u64(..len);
                self.effect(index, Effect::DamageLen { file, len });
            }
            Some(Fault::GarbageExtension) => {
                let count = self.faults.rng().usize(1..8192);
                let mut data = vec![0; count];
                self.faults.rng().fill(&mut data);
                self.effect(
                    index,
                    Effect::Damage {
                        file,
                        offset: len,
                        data: Arc::from(data),
                    },
                );
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn read(
        &mut self,
        index: u64,
        file: NodeId,
        buf: &mut [u8],
        offset: u64,
        fault: Option<Fault>,
    ) -> io::Result<usize> {
        self.damage(index, file, fault)?;
        let rng = self.faults.rng();
        let mut offset = offset;
        let mut wanted = buf.len();
        match fault {
            Some(Fault::ShortRead) if wanted > 1 => wanted = rng.usize(1..wanted),
            Some(Fault::MisdirectedRead) => {
                let sectors = self.disk.file(file)?.live.len().div_ceil(SECTOR);
                offset = rng.u64(..sectors.max(1)) * SECTOR + offset % SECTOR;
            }
            Some(Fault::ZeroedSector) => {
                let node = self.disk.file(file)?;
                let last = (offset + wanted.saturating_sub(1) as u64)
                    .min(node.live.len().saturating_sub(1));
                if offset <= last && node.live.len() > 0 {
                    let sector = rng.u64(offset / SECTOR..=last / SECTOR) * SECTOR;
                    let count = SECTOR.min(node.live.len() - sector);
                    self.effect(
                        index,
                        Effect::Damage {
                            file,
                            offset: sector,
                            data: Arc::from(vec![0; count as usize]),
                        },
                    );
                }
            }
            _ => {}
        }
        let node = self.disk.file(file)?;
        let source = if fault == Some(Fault::StaleRead) {
            &node.previous
        } else {
            &node.live
        };
        let count = source.read(&mut buf[..wanted], offset);
        if fault == Some(Fault::BitFlip) && count > 0 {
            let bit = self.faults.rng().usize(..count * 8);
            buf[bit / 8] ^= 1 << (bit % 8);
        }
        Ok(count)
    }

    pub(super) fn write(
        &mut self,
        index: u64,
        file: NodeId,
        data: &[u8],
        offset: u64,
        fault: Option<Fault>,
    ) -> io::Result<usize> {
        self.damage(index, file, fault)?;
        let end = offset
            .checked_add(data.len() as u64)
            .ok_or_else(|| os(EFBIG))?;
        if end > MAX_FILE_LEN {
            return Err(os(EFBIG));
        }
        self.check_space(
            self.disk
                .file(file)?
                .extra_charge(offset, data.len() as u64),
        )?;
        let rng = self.faults.rng();
        match fault {
            Some(Fault::ShortWrite) if data.len() > 1 => {
                let count = rng.usize(1..data.len());
                self.effect(
                    index,
                    Effect::Write {
                        file,
                        offset,
                        data: Arc::from(&data[..count]),
                    },
                );
                return Ok(count);
            }
            Some(Fault::TornWrite) => {
                let keep: Vec<bool> = (offset / SECTOR..end.div_ceil(SECTOR))
                    .map(|_| rng.bool())
                    .collect();
                for (sector, _) in (offset / SECTOR..).zip(keep).filter(|(_, keep)| *keep) {
                    let (from, to) = (offset.max(sector * SECTOR), end.min((sector + 1) * SECTOR));
                    let part = Arc::from(&data[(from - offset) as usize..(to - offset) as usize]);
                    self.effect(
                        index,
                        Effect::Write {
                            file,
                            offset: from,
                            data: part,
                        },
                    );
                }
                return Err(os(EIO));
            }
            Some(Fault::LostWrite) => return Ok(data.len()),
            Some(Fault::MisdirectedWrite) => {
                let sectors = self.disk.file(file)?.live.len().div_ceil(SECTOR);
                let elsewhere = rng.u64(..sectors.max(1)) * SECTOR + offset % SECTOR;
                self.effect(
                    index,
                    Effect::Write {
                        file,
                        offset: elsewhere,
                        data: Arc::from(data),
                    },
                );
                return Ok(data.len());
            }
            Some(Fault::BitFlip) if !data.is_empty() => {
                let mut flipped = data.to_vec();
                let bit = rng.usize(..flipped.len() * 8);
                flipped[bit / 8] ^= 1 << (bit % 8);
                self.effect(
                    index,
                    Effect::Write {
                        file,
                        offset,
                        data: Arc::from(flipped),
                    },
                );
                return Ok(data.len());
            }
            _ => {}
        }
        if !data.is_empty() {
            self.effect(
                index,
                Effect::Write {
                    file,
                    offset,
                    data: Arc::from(data),
                },
            );
        }
        Ok(data.len())
    }

    /// A handle is gone.
    pub(super) fn release(&mut self, node: NodeId) {
        if let Some(count) = self.handles.get_mut(&node) {
            *count -= 1;
            if *count == 0 {
                self.handles.remove(&node);
            }
        }
    }
}
