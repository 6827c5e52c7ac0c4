//! A ring of requests shared with the kernel, and the one chain that is put on it: a write and,
//! linked to it, a flush.
//!
//! This is the only place where the kernel is handed the address of memory to read later. Its rule:
//! no function returns while a request that the kernel has taken has not ended.

use std::{fs::File, io, os::fd::AsRawFd};

use io_uring::{IoUring, Probe, opcode, squeue, types};

/// Requests on the ring at a time.
const ENTRIES: u32 = 2;
/// Bytes of one write at most, well below what the kernel writes at once.
pub(super) const LONGEST: usize = 1 << 30;

/// What became of a write and the flush that is linked to it. Each is `None` where the kernel has
/// not taken it, and else what the system call would have answered: a count, or a negated `errno`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Linked {
    /// The write.
    pub(super) written: Option<i32>,
    /// The flush.
    pub(super) synced: Option<i32>,
    /// Whether the kernel has taken both at once. Otherwise the flush was not held back until the
    /// write had ended, and proves nothing.
    pub(super) chained: bool,
}

/// A ring.
pub(super) struct Ring {
    uring: IoUring,
    /// Whether a request that the kernel has not taken is still on the ring. It names memory that
    /// is not ours any more, so nothing may be submitted again.
    spoilt: bool,
    /// Chains that the kernel has taken.
    chains: u64,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring")
            .field("spoilt", &self.spoilt)
            .field("chains", &self.chains)
            .finish_non_exhaustive()
    }
}

impl Ring {
    /// A ring that works: a request has been there and back.
    ///
    /// # Errors
    /// What the kernel answers where it does not let us have one (`ENOSYS`, `EPERM`, `ENOMEM`), and
    /// `Unsupported` where it is too old for what is asked of it.
    pub(super) fn new() -> io::Result<Ring> {
        let uring = IoUring::new(ENTRIES)?;
        let mut probe = Probe::new();
        match uring.submitter().register_probe(&mut probe) {
            Ok(()) => {}
            // Linux 5.1 to 5.5 know rings but not the question.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(io::ErrorKind::Unsupported.into());
            }
            Err(error) => return Err(error),
        }
        if !(probe.is_supported(opcode::Write::CODE) && probe.is_supported(opcode::Fsync::CODE)) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut ring = Ring {
            uring,
            spoilt: false,
            chains: 0,
        };
        // A filter of system calls may let a ring be made and not be used.
        // SAFETY: the request names no memory.
        #[expect(unsafe_code, reason = "the kernel is asked for something")]
        let (answers, _) = unsafe { ring.run([opcode::Nop::new().build()]) }?;
        match answers {
            [Some(0)] => Ok(ring),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Whether the ring must not be used any more.
    pub(super) fn is_spoilt(&self) -> bool {
        self.spoilt
    }

    /// Chains that the kernel has taken.
    #[cfg(test)]
    pub(super) fn chains(&self) -> u64 {
        self.chains
    }

    /// Writes `bytes`, [`LONGEST`] at most, at `offset` of `file` and then, where all of them were
    /// written, makes the file's bytes durable (`fdatasync`). One system call, unless the kernel is
    /// short of memory.
    ///
    /// # Errors
    /// What the kernel answers where it takes neither.
    pub(super) fn write_and_sync(
        &mut self,
        file: &File,
        bytes: &[u8],
        offset: u64,
    ) -> io::Result<Linked> {
        let handle = types::Fd(file.as_raw_fd());
        let len = bytes.len().min(LONGEST) as u32;
        let write = opcode::Write::new(handle, bytes.as_ptr(), len)
            .offset(offset)
            .build()
            .flags(squeue::Flags::IO_LINK);
        let sync = opcode::Fsync::new(handle)
            .flags(types::FsyncFlags::DATASYNC)
            .build();
        // SAFETY: the write names the `len` first of `bytes`, which are borrowed, and with `file`
        // open, until this returns; `run` does not return while the kernel has the request.
        #[expect(unsafe_code, reason = "the kernel is given the address of the bytes")]
        let (answers, chained) = unsafe { self.run([write, sync]) }?;
        self.chains += u64::from(chained);
        let [written, synced] = answers;
        Ok(Linked {
            written,
            synced,
            chained,
        })
    }

    /// Has the kernel carry out `requests` and waits for the end of all that it takes. Answers what
    /// became of each, and whether all were taken at once.
    ///
    /// # Errors
    /// What the kernel answers where it takes none.
    ///
    /// # Safety
    /// The memory that the requests name must stay as it is until this returns.
    #[expect(unsafe_code, reason = "the caller vouches for the memory")]
    unsafe fn run<const N: usize>(
        &mut self,
        mut requests: [squeue::Entry; N],
    ) -> io::Result<([Option<i32>; N], bool)> {
        if self.spoilt {
            return Err(io::ErrorKind::Unsupported.into());
        }
        for (index, request) in requests.iter_mut().enumerate() {
            request.set_user_data(index as u64);
        }
        // SAFETY: the caller vouches for the memory until this returns. It returns only when every
        // request that the kernel has taken has ended; where one has not been taken, the ring is
        // spoilt and nothing is submitted on it again.
        let pushed = unsafe { self.uring.submission().push_multiple(&requests) };
        if pushed.is_err() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut answers = [None; N];
        let mut ended = 0;
        let mut at_once = None;
        while ended < N {
            let entered = self.uring.submit_and_wait(N - ended);
            let taken = N - self.uring.submission().len();
            let interrupted =
                matches!(&entered, Err(error) if error.kind() == io::ErrorKind::Interrupted);
            if taken > 0 {
                at_once.get_or_insert(taken == N);
            }
            for answer in self.uring.completion() {
                // Each ends once, and no other request is ever on the ring.
                if let Some(slot) = answers.get_mut(answer.user_data() as usize) {
                    *slot = Some(answer.result());
                    ended += 1;
                }
            }
            match entered {
                Ok(_) => {}
                Err(_) if interrupted => {}
                // What the kernel has, it has: its end must be waited for, come what may.
                Err(_) if ended < taken => std::thread::yield_now(),
                Err(error) if taken == 0 => {
                    self.spoilt = true;
                    return Err(error);
                }
                Err(_) if ended < N => {
                    self.spoilt = true;
                    break;
                }
                Err(_) => {}
            }
        }
        Ok((answers, at_once.unwrap_or(false)))
    }
}
