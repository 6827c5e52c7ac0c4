//! A file as a stream of UTF-8 text: decompression, byte-order marks and encodings.

use std::{
    io::{self, BufRead, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};
use rustling_storage::{Env, OpenMode, VfsFile};

use crate::error::{Error, Result};

const BUFFER: usize = 256 * 1024;

/// A file to load: where it is and how its bytes become text.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    env: Env,
    path: PathBuf,
    encoding: &'static Encoding,
    length: u64,
}

impl Source {
    /// The file at `path`; `encoding`: a label of the WHATWG Encoding Standard, UTF-8 if none.
    pub(crate) fn new(env: &Env, path: &Path, encoding: Option<&str>) -> Result<Source> {
        let encoding = match encoding {
            None => UTF_8,
            Some(name) => Encoding::for_label(name.as_bytes())
                .ok_or_else(|| Error::UnknownEncoding { name: name.into() })?,
        };
        let mut source = Source {
            env: env.clone(),
            path: path.into(),
            encoding,
            length: 0,
        };
        source.length = source
            .file()?
            .len()
            .map_err(|error| source.read_error(error))?;
        if source.length == 0 {
            return Err(Error::Empty { path: source.path });
        }
        Ok(source)
    }

    /// The file's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's length in bytes, as it lies on disk.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// An I/O error on this file.
    pub(crate) fn read_error(&self, source: io::Error) -> Error {
        Error::Read {
            path: self.path.clone(),
            source: Arc::new(source),
        }
    }

    fn file(&self) -> Result<Arc<dyn VfsFile>> {
        self.env
            .vfs
            .open(&self.path, OpenMode::ReadOnly)
            .map_err(|error| self.read_error(error))
    }

    /// Opens the text from its beginning. `consumed` counts bytes of the file as it lies on disk.
    pub(crate) fn open(&self, consumed: Arc<AtomicU64>) -> Result<Box<dyn Read + Send>> {
        let file = FileReader {
            file: self.file()?,
            position: 0,
            consumed,
        };
        let mut file = io::BufReader::with_capacity(BUFFER, file);
        let magic = file.fill_buf().map_err(|error| self.read_error(error))?;
        let bytes: Box<dyn Read + Send> = match magic {
            [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(
                zstd::stream::read::Decoder::with_buffer(file)
                    .map_err(|error| self.read_error(error))?,
            ),
            _ => Box::new(file),
        };
        self.text(bytes)
    }

    /// Strips a byte-order mark, which also names an encoding, and decodes what is not UTF-8.
    fn text(&self, bytes: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
        let mut bytes = io::BufReader::with_capacity(BUFFER, bytes);
        let head = bytes.fill_buf().map_err(|error| self.read_error(error))?;
        let (encoding, mark) = Encoding::for_bom(head).unwrap_or((self.encoding, 0));
        bytes.consume(mark);
        if encoding == UTF_8 {
            return Ok(Box::new(bytes));
        }
        Ok(Box::new(Transcoder {
            bytes,
            decoder: encoding.new_decoder_without_bom_handling(),
            spare: Vec::new(),
            done: false,
        }))
    }
}

/// Sequential reads of a positional file.
struct FileReader {
    file: Arc<dyn VfsFile>,
    position: u64,
    consumed: Arc<AtomicU64>,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position += read as u64;
        self.consumed.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Decodes to UTF-8 while reading; what the encoding cannot mean is an error.
struct Transcoder<R> {
    bytes: io::BufReader<R>,
    decoder: Decoder,
    /// Decoded bytes that did not fit a reader's small buffer.
    spare: Vec<u8>,
    done: bool,
}

impl<R: Read> Read for Transcoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The decoder writes whole characters only: a smaller buffer might never take one.
        let mut small = [0; 16];
        if buffer.len() < small.len() && self.spare.is_empty() {
            let read = self.decode(&mut small)?;
            self.spare.extend_from_slice(&small[..read]);
        }
        if !self.spare.is_empty() {
            let length = self.spare.len().min(buffer.len());
            for (to, from) in buffer.iter_mut().zip(self.spare.drain(..length)) {
                *to = from;
            }
            return Ok(length);
        }
        self.decode(buffer)
    }
}

impl<R: Read> Transcoder<R> {
    fn decode(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.done {
                return Ok(0);
            }
            let input = self.bytes.fill_buf()?;
            let last = input.is_empty();
            let (result, read, written) = self
                .decoder
                .decode_to_utf8_without_replacement(input, buffer, last);
            self.bytes.consume(read);
            match result {
                DecoderResult::InputEmpty => self.done = last,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!(
                            "bytes that are not valid {}",
                            self.decoder.encoding().name()
                        ),
                    ));
                }
            }
            if written > 0 || self.done {
                return Ok(written);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, path::Path, sync::Arc};

    use rustling_storage::{Env, OpenMode};

    use super::Source;
    use crate::error::Error;

    fn read(bytes: &[u8], encoding: Option<&str>) -> Result<String, Error> {
        let env = Env::in_memory();
        let path = Path::new("/file.csv");
        let file = env.vfs.open(path, OpenMode::CreateNew).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        let source = Source::new(&env, path, encoding)?;
        let mut text = String::new();
        source
            .open(Arc::default())?
            .read_to_string(&mut text)
            .map_err(|error| source.read_error(error))?;
        Ok(text)
    }

    #[test]
    fn compressed_files_are_told_by_their_first_bytes() {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gz, b"a,b\n").unwrap();
        assert_eq!(read(&gz.finish().unwrap(), None).unwrap(), "a,b\n");
        assert_eq!(
            read(&zstd::encode_all(&b"a,b\n"[..], 1).unwrap(), None).unwrap(),
            "a,b\n"
        );
        assert_eq!(read(b"a,b\n", None).unwrap(), "a,b\n");
    }

    #[test]
    fn byte_order_marks_name_the_encoding_and_vanish() {
        assert_eq!(read(b"\xef\xbb\xbfa,b\n", None).unwrap(), "a,b\n");
        assert_eq!(read(b"\xff\xfea\0,\0\xe9\0\n\0", None).unwrap(), "a,é\n");
    }

    #[test]
    fn other_encodings_are_decoded_when_named() {
        assert_eq!(read(b"caf\xe9\n", Some("latin1")).unwrap(), "café\n");
        assert!(matches!(
            read(b"x", Some("klingon")),
            Err(Error::UnknownEncoding { .. })
        ));
        assert!(matches!(
            read(b"\xff\xff\n", Some("shift_jis")),
            Err(Error::Read { .. })
        ));
    }

    #[test]
    fn empty_and_missing_files_are_told_apart() {
        assert!(matches!(read(b"", None), Err(Error::Empty { .. })));
        let missing = Source::new(&Env::in_memory(), Path::new("/missing.csv"), None);
        assert!(matches!(missing, Err(Error::Read { .. })));
    }

    #[test]
    fn a_truncated_compressed_file_is_an_error() {
        let whole = zstd::encode_all(&[b'x'; 10_000][..], 1).unwrap();
        assert!(matches!(
            read(&whole[..whole.len() - 3], None),
            Err(Error::Read { .. })
        ));
    }
}
