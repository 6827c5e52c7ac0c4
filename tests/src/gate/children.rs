//! Real processes that write to a real store until they are killed.
//!
//! The test binary runs itself again with `RUSTLING_GATE_CHILD` set to the directory of a
//! store; the child then writes until it dies. Each acknowledged commit is noted in a file
//! beside the store before the next one begins; the page cache keeps that file's bytes when the
//! process is killed.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use rustling_storage::{Env, OpenMode, VfsFile};

/// Names the directory of the store in the environment of a child.
pub const CHILD_VARIABLE: &str = "RUSTLING_GATE_CHILD";
/// The seed of the child's random choices.
pub const SEED_VARIABLE: &str = "RUSTLING_GATE_CHILD_SEED";

/// Bytes of one acknowledgement: who and how many.
const RECORD: usize = 12;

/// What this process is to do as a child: the store's directory and a seed.
#[must_use]
pub fn as_child() -> Option<(PathBuf, u64)> {
    let directory = PathBuf::from(std::env::var_os(CHILD_VARIABLE)?);
    let seed = std::env::var(SEED_VARIABLE).ok()?.parse().ok()?;
    Some((directory, seed))
}

/// Where the acknowledgements of one writer are noted.
#[derive(Debug)]
pub struct AckLog {
    file: Arc<dyn VfsFile>,
    end: u64,
    who: u32,
}

fn ack_path(store: &Path, who: u32) -> PathBuf {
    store.with_extension(format!("acks-{who}"))
}

impl AckLog {
    /// The log of writer `who`, which continues where an earlier process stopped.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(env: &Env, store: &Path, who: u32) -> std::io::Result<AckLog> {
        let path = ack_path(store, who);
        let mode = if env.vfs.exists(&path)? {
            OpenMode::ReadWrite
        } else {
            OpenMode::CreateNew
        };
        let file = env.vfs.open(&path, mode)?;
        let end = file.len()? / RECORD as u64 * RECORD as u64;
        Ok(AckLog { file, end, who })
    }

    /// Notes that commit number `count` was acknowledged.
    ///
    /// # Errors
    /// Of the file system.
    pub fn note(&mut self, count: u64) -> std::io::Result<()> {
        let mut record = [0; RECORD];
        record[..4].copy_from_slice(&self.who.to_le_bytes());
        record[4..].copy_from_slice(&count.to_le_bytes());
        self.file.write_all_at(&record, self.end)?;
        self.end += RECORD as u64;
        Ok(())
    }

    /// The last commit acknowledged to each of `writers`; 0 where there is none.
    ///
    /// # Errors
    /// Of the file system.
    pub fn last(env: &Env, store: &Path, writers: u32) -> std::io::Result<BTreeMap<u32, u64>> {
        let mut last = BTreeMap::new();
        for who in 0..writers {
            let path = ack_path(store, who);
            let mut count = 0;
            if env.vfs.exists(&path)? {
                let file = env.vfs.open(&path, OpenMode::ReadOnly)?;
                let records = file.len()? / RECORD as u64;
                if records > 0 {
                    let mut bytes = [0; 8];
                    file.read_exact_at(&mut bytes, (records - 1) * RECORD as u64 + 4)?;
                    count = u64::from_le_bytes(bytes);
                }
            }
            last.insert(who, count);
        }
        Ok(last)
    }
}

/// Starts this test binary as a child that runs only the test `test`, which has to ask
/// [`as_child`].
///
/// # Errors
/// Of the operating system.
pub fn start(test: &str, store: &Path, seed: u64) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args([test, "--exact", "--nocapture", "--test-threads", "1"])
        .env(CHILD_VARIABLE, store)
        .env(SEED_VARIABLE, seed.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
}

/// Lets a child run for a while and kills it (SIGKILL).
///
/// # Errors
/// What the child said, where it ended by itself.
pub fn kill_after(mut child: Child, env: &Env, while_running: Duration) -> Result<(), String> {
    env.clock.sleep(while_running);
    let ended = child.try_wait().map_err(|error| error.to_string())?;
    child.kill().map_err(|error| error.to_string())?;
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    match ended {
        None => Ok(()),
        Some(status) => Err(format!(
            "the child ended by itself ({status}): {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}
