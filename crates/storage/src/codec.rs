//! Block compression for pages and log records.

use std::cell::RefCell;

use crate::error::{Error, Result};

/// How blocks of bytes are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// LZ4 block format: fast both ways, about half the size on typical rows.
    Lz4,
    /// Zstandard: slower to write, smaller. Needs the `zstd` feature.
    Zstd {
        /// 1 (fast) to 22 (small); 3 is the usual choice.
        level: i32,
    },
}

/// Why a block did not decompress. The caller knows the file and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    /// The codec's number is unknown.
    #[error("unknown codec {0}")]
    Unknown(u8),
    /// The codec was not compiled in.
    #[cfg(not(feature = "zstd"))]
    #[error("compressed with Zstandard, which this build leaves out (feature `zstd`)")]
    Missing,
    /// The compressed bytes make no sense.
    #[error("compressed bytes do not decode")]
    Malformed,
    /// The bytes decode to another length than stated.
    #[error("compressed bytes decode to {found} bytes instead of {expected}")]
    Length {
        /// Bytes decoded.
        found: usize,
        /// Bytes stated.
        expected: usize,
    },
}

/// Codec numbers on disk, in pages and in log records alike.
pub(crate) const CODEC_NONE: u8 = 0;
pub(crate) const CODEC_LZ4: u8 = 1;
pub(crate) const CODEC_ZSTD: u8 = 2;

impl Codec {
    /// The codec's number on disk.
    pub(crate) fn number(self) -> u8 {
        match self {
            Codec::None => CODEC_NONE,
            Codec::Lz4 => CODEC_LZ4,
            Codec::Zstd { .. } => CODEC_ZSTD,
        }
    }

    /// Whether this build can use the codec.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for Zstandard without its feature, or with a level out of range.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Codec::Zstd { .. } if !cfg!(feature = "zstd") => Err(Error::InvalidOption(
                "this build leaves out Zstandard (feature `zstd`)".into(),
            )),
            Codec::Zstd { level } if !(1..=22).contains(&level) => Err(Error::InvalidOption(
                format!("Zstandard level {level} is not within 1 to 22"),
            )),
            _ => Ok(()),
        }
    }

    /// Compresses `input` into the front of `output` and answers the compressed length; `None`
    /// where it would not fit (store it uncompressed then).
    pub(crate) fn compress(self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        match self {
            Codec::None => None,
            Codec::Lz4 => lz4_compress(input, output),
            Codec::Zstd { level } => zstd_compress(input, output, level),
        }
    }
}

/// Decompresses `input` with the codec of that number into exactly `output`. Never allocates
/// in proportion to what `input` claims.
///
/// # Errors
/// [`CodecError`] for anything but a valid block of exactly that length.
pub(crate) fn decompress(
    codec: u8,
    input: &[u8],
    output: &mut [u8],
) -> std::result::Result<(), CodecError> {
    let expected = output.len();
    let found = match codec {
        CODEC_NONE => {
            if input.len() == expected {
                output.copy_from_slice(input);
            }
            input.len()
        }
        CODEC_LZ4 => {
            lz4_flex::block::decompress_into(input, output).map_err(|_| CodecError::Malformed)?
        }
        CODEC_ZSTD => zstd_decompress(input, output)?,
        unknown => return Err(CodecError::Unknown(unknown)),
    };
    if found == expected {
        Ok(())
    } else {
        Err(CodecError::Length { found, expected })
    }
}

thread_local! {
    /// Room for the longest block that LZ4 may make of its input, which it insists on.
    static LZ4_ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Room kept by a thread from one block to the next, in bytes.
const ROOM_KEPT: usize = 64 << 10;

fn lz4_compress(input: &[u8], output: &mut [u8]) -> Option<usize> {
    let most = lz4_flex::block::get_maximum_output_size(input.len());
    if output.len() >= most {
        return lz4_flex::block::compress_into(input, output).ok();
    }
    LZ4_ROOM.with_borrow_mut(|room| {
        if room.len() < most {
            room.resize(most, 0);
        }
        let len = lz4_flex::block::compress_into(input, room).ok();
        let fitting = len.filter(|len| *len <= output.len());
        if let Some(len) = fitting {
            output[..len].copy_from_slice(&room[..len]);
        }
        if room.len() > ROOM_KEPT {
            *room = Vec::new();
        }
        fitting
    })
}

#[cfg(feature = "zstd")]
mod contexts {
    use std::cell::RefCell;

    // A Zstandard context takes far longer to make than a page to compress.
    thread_local! {
        pub(super) static COMPRESSOR: RefCell<Option<(i32, zstd::bulk::Compressor<'static>)>> =
            const { RefCell::new(None) };
        pub(super) static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
            const { RefCell::new(None) };
    }
}

#[cfg(feature = "zstd")]
fn zstd_compress(input: &[u8], output: &mut [u8], level: i32) -> Option<usize> {
    contexts::COMPRESSOR.with_borrow_mut(|slot| {
        if slot.as_ref().is_none_or(|(made_for, _)| *made_for != level) {
            *slot = Some((level, zstd::bulk::Compressor::new(level).ok()?));
        }
        let (_, compressor) = slot.as_mut()?;
        compressor.compress_to_buffer(input, output).ok()
    })
}

#[cfg(feature = "zstd")]
fn zstd_decompress(input: &[u8], output: &mut [u8]) -> std::result::Result<usize, CodecError> {
    contexts::DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Some(zstd::bulk::Decompressor::new().map_err(|_| CodecError::Malformed)?);
        }
        let decompressor = slot.as_mut().ok_or(CodecError::Malformed)?;
        decompressor
            .decompress_to_buffer(input, output)
            .map_err(|_| CodecError::Malformed)
    })
}

#[cfg(not(feature = "zstd"))]
fn zstd_compress(_input: &[u8], _output: &mut [u8], _level: i32) -> Option<usize> {
    None
}

#[cfg(not(feature = "zstd"))]
fn zstd_decompress(_input: &[u8], _output: &mut [u8]) -> std::result::Result<usize, CodecError> {
    Err(CodecError::Missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(codec: Codec, input: &[u8]) -> bool {
        let mut compressed = vec![0; input.len() * 2 + 1024];
        let Some(len) = codec.compress(input, &mut compressed) else {
            return false;
        };
        let mut output = vec![0; input.len()];
        decompress(codec.number(), &compressed[..len], &mut output).unwrap();
        assert_eq!(output, input);
        let mut longer = vec![0; input.len() + 1];
        assert!(decompress(codec.number(), &compressed[..len], &mut longer).is_err());
        true
    }

    #[test]
    fn blocks_round_trip() {
        let text = b"the quick brown fox ".repeat(400);
        assert!(round_trip(Codec::Lz4, &text));
        assert_eq!(
            round_trip(Codec::Zstd { level: 3 }, &text),
            cfg!(feature = "zstd")
        );
        assert!(!round_trip(Codec::None, &text));
    }

    #[test]
    fn too_small_an_output_is_refused() {
        let mut random = fastrand::Rng::with_seed(1);
        let noise: Vec<u8> = (0..4096).map(|_| random.u8(..)).collect();
        let mut output = vec![0; 1024];
        assert_eq!(Codec::Lz4.compress(&noise, &mut output), None);
        assert_eq!(Codec::Zstd { level: 3 }.compress(&noise, &mut output), None);
        let text = b"the quick brown fox ".repeat(400);
        assert!(Codec::Lz4.compress(&text, &mut output).is_some());
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut random = fastrand::Rng::with_seed(2);
        let mut output = vec![0; 4096];
        for _ in 0..5000 {
            let noise: Vec<u8> = (0..random.usize(..600)).map(|_| random.u8(..)).collect();
            let _ = decompress(random.u8(..5), &noise, &mut output);
        }
    }

    #[test]
    fn levels_are_checked() {
        assert!(Codec::Lz4.check().is_ok());
        assert!(Codec::Zstd { level: 99 }.check().is_err());
    }
}
