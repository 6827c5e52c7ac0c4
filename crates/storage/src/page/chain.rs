//! The metadata of a checkpoint: a chain of images, each naming the next with its checksum.

use super::{
    file::PageFile,
    image::{IMAGE_HEADER, ImageKind, LOCATION_SIZE, Location, Owner},
    slots::Claims,
    writer::ImageWriter,
};
use crate::error::{Error, Result};

/// Metadata bytes in a link.
fn link_bytes(page_size: usize) -> usize {
    page_size - IMAGE_HEADER - LOCATION_SIZE
}

/// Links that `len` bytes take.
pub(super) fn links(page_size: usize, len: usize) -> usize {
    len.div_ceil(link_bytes(page_size))
}

fn owner(number: usize) -> Owner {
    Owner {
        kind: ImageKind::Metadata,
        id: number as u32,
    }
}

/// Writes `metadata`, last link first, and answers where the links are, first link first.
pub(super) fn write(
    metadata: &[u8],
    page_size: usize,
    writer: &mut ImageWriter<'_>,
) -> Result<Vec<Location>> {
    let mut written: Vec<Location> = Vec::new();
    let mut payload = Vec::new();
    for (number, part) in metadata.chunks(link_bytes(page_size)).enumerate().rev() {
        payload.clear();
        payload.extend(Location::encode(written.last().copied()));
        payload.extend(part);
        written.push(writer.append_plain(owner(number), &payload)?);
    }
    written.reverse();
    Ok(written)
}

/// Reads metadata of `len` bytes from `first` on and claims the slots.
///
/// # Errors
/// [`Error::Corrupt`], [`Error::Io`].
pub(super) fn read(
    file: &PageFile,
    page_size: usize,
    salt: u64,
    first: Option<Location>,
    len: u32,
    claims: &mut Claims,
) -> Result<(Vec<u8>, Vec<Location>)> {
    let mut metadata = Vec::new();
    let mut locations = Vec::new();
    let mut next = first;
    let mut payload = vec![0; page_size - IMAGE_HEADER];
    while let Some(location) = next {
        let wrong = |reason: &str| {
            let reason = format!("metadata link {}: {reason}", locations.len());
            Error::corrupt(file.path(), location.offset(), reason)
        };
        claims.claim(location.unit, location.units).map_err(wrong)?;
        let left = len as usize - metadata.len();
        if left == 0 {
            return Err(wrong("follows after the end"));
        }
        file.read_payload(&location, owner(locations.len()), salt, &mut payload)?;
        let (link, bytes) = payload.split_at(LOCATION_SIZE);
        metadata.extend(&bytes[..left.min(bytes.len())]);
        next = Location::decode(link).map_err(wrong)?;
        locations.push(location);
    }
    if metadata.len() != len as usize {
        return Err(Error::corrupt(
            file.path(),
            0,
            "the metadata chain ends early",
        ));
    }
    Ok((metadata, locations))
}
