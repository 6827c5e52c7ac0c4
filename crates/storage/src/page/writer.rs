//! Writing page images to free slots, neighbours in one go.

use super::{
    file::PageFile,
    image::{self, IMAGE_HEADER, Location, Owner, UNIT},
    space::Space,
};
use crate::{
    codec::{CODEC_NONE, Codec},
    error::Result,
};

/// Bytes gathered before they are written.
const GATHER: usize = 512 << 10;

/// Gives images their slots and writes them, adjoining ones with one call. What has been
/// appended is in the file after [`ImageWriter::flush`]. Appending is copying: with
/// [`ImageWriter::make_room`] before it, it may be done while a page is held.
#[derive(Debug)]
pub(super) struct ImageWriter<'a> {
    file: &'a PageFile,
    space: &'a Space,
    codec: Codec,
    salt: u64,
    epoch: u64,
    buffer: Vec<u8>,
    /// Where in the file the images in the buffer go: for each row of adjoining ones, where it begins
    /// there, and where in the buffer.
    rows: Vec<(u64, usize)>,
    scratch: Vec<u8>,
}

impl<'a> ImageWriter<'a> {
    /// A writer of images of `epoch`.
    pub(super) fn new(
        file: &'a PageFile,
        space: &'a Space,
        codec: Codec,
        salt: u64,
        epoch: u64,
    ) -> ImageWriter<'a> {
        ImageWriter {
            file,
            space,
            codec,
            salt,
            epoch,
            buffer: Vec::new(),
            rows: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Makes sure that the next image can be appended without writing anything.
    pub(super) fn make_room(&mut self) -> Result<()> {
        if self.buffer.len() >= GATHER {
            self.flush()?;
        }
        Ok(())
    }

    /// Appends a data page, compressed where that saves a unit.
    pub(super) fn append_page(&mut self, owner: Owner, payload: &[u8]) -> Result<Location> {
        let units = image::units_for(payload.len());
        if self.codec != Codec::None && units > 1 {
            let mut scratch = std::mem::take(&mut self.scratch);
            scratch.resize((units - 1) * UNIT - IMAGE_HEADER, 0);
            let compressed = self.codec.compress(payload, &mut scratch);
            let appended = compressed
                .and_then(|len| scratch.get(..len))
                .map(|stored| self.append(owner, self.codec.number(), stored));
            self.scratch = scratch;
            if let Some(appended) = appended {
                return appended;
            }
        }
        self.append(owner, CODEC_NONE, payload)
    }

    /// Appends an image as it is; readers take what is missing to a page for zeros.
    pub(super) fn append_plain(&mut self, owner: Owner, stored: &[u8]) -> Result<Location> {
        self.make_room()?;
        self.append(owner, CODEC_NONE, stored)
    }

    fn append(&mut self, owner: Owner, codec: u8, stored: &[u8]) -> Result<Location> {
        let units = image::units_for(stored.len());
        let unit = self.space.take(self.file, units)?;
        let offset = u64::from(unit) * UNIT as u64;
        let begin = self.buffer.len();
        let adjoins = |(start, at): &(u64, usize)| start + (begin - at) as u64 == offset;
        if !self.rows.last().is_some_and(adjoins) {
            self.rows.push((offset, begin));
        }
        self.buffer.resize(begin + IMAGE_HEADER, 0);
        self.buffer.extend_from_slice(stored);
        self.buffer.resize(begin + units * UNIT, 0);
        let image = &mut self.buffer[begin..];
        Ok(image::seal(
            image,
            owner,
            unit,
            self.epoch,
            self.salt,
            codec,
            stored.len(),
        ))
    }

    /// Writes what is gathered.
    pub(super) fn flush(&mut self) -> Result<()> {
        let mut end = self.buffer.len();
        for (_, at) in self.rows.iter_mut().rev() {
            // From here on, where the row ends.
            end = std::mem::replace(at, end);
        }
        let mut begin = 0;
        for (offset, end) in self.rows.drain(..) {
            self.file.write(&self.buffer[begin..end], offset)?;
            begin = end;
        }
        self.buffer.clear();
        Ok(())
    }
}
