//! Whether the system has huge pages for those who ask, and how many it has given.

#[cfg(target_os = "linux")]
use std::path::Path;
use std::{io, sync::Arc};

use crate::error::{Error, Result};
#[cfg(target_os = "linux")]
use crate::{
    vfs::{OpenMode, Vfs},
    vfs_os::OsVfs,
};

/// What the system says of huge pages that nobody has to reserve.
#[cfg(target_os = "linux")]
const ENABLED: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
/// What it says of this process's memory.
#[cfg(target_os = "linux")]
const MEMORY: &str = "/proc/self/smaps_rollup";

/// Checks that the system gives huge pages to who asks for them.
///
/// # Errors
/// [`Error::Unavailable`].
pub(crate) fn check() -> Result<()> {
    #[cfg(target_os = "linux")]
    let refusal = match read(ENABLED) {
        Ok(text) => refusal_in(&text),
        // A system without such a setting has no such pages.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some(io::ErrorKind::Unsupported.into())
        }
        Err(error) => Some(error),
    };
    #[cfg(not(target_os = "linux"))]
    let refusal = Some(io::ErrorKind::Unsupported.into());
    match refusal {
        None => Ok(()),
        Some(source) => Err(Error::Unavailable {
            option: "huge_pages",
            source: Arc::new(source),
            hint: "write madvise to /sys/kernel/mm/transparent_hugepage/enabled (on Linux with \
                   transparent huge pages), or leave the option off",
        }),
    }
}

/// Bytes of this process's memory that are in huge pages; 0 where the system does not say.
pub(super) fn bytes_in_use() -> u64 {
    #[cfg(target_os = "linux")]
    let bytes = read(MEMORY).map_or(0, |text| bytes_in(&text));
    #[cfg(not(target_os = "linux"))]
    let bytes = 0;
    bytes
}

#[cfg(target_os = "linux")]
fn refusal_in(enabled: &str) -> Option<io::Error> {
    let never = enabled.contains("[never]");
    never.then(|| io::Error::new(io::ErrorKind::Unsupported, "they are switched off"))
}

#[cfg(target_os = "linux")]
fn bytes_in(memory: &str) -> u64 {
    let mut lines = memory.lines();
    let found = lines.find_map(|line| line.strip_prefix("AnonHugePages:"));
    let number = found.and_then(|text| text.split_whitespace().next());
    number
        .and_then(|text| text.parse().ok())
        .map_or(0, |kib: u64| kib << 10)
}

/// A file that the kernel makes up: its length is not known before it is read.
#[cfg(target_os = "linux")]
fn read(path: &str) -> io::Result<String> {
    let file = OsVfs::new().open(Path::new(path), OpenMode::ReadOnly)?;
    let mut bytes = vec![0; 8192];
    let mut end = 0;
    while end < bytes.len() {
        match file.read_at(&mut bytes[end..], end as u64)? {
            0 => break,
            count => end += count,
        }
    }
    bytes.truncate(end);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_understood() {
        assert!(refusal_in("always madvise [never]\n").is_some());
        assert!(refusal_in("always [madvise] never\n").is_none());
        assert!(refusal_in("[always] madvise never\n").is_none());
        assert_eq!(
            bytes_in("Rss: 12 kB\nAnonHugePages:      4096 kB\nSwap: 0 kB"),
            4 << 20
        );
        assert_eq!(bytes_in("Rss: 12 kB"), 0);
    }
}
