//! Encodings of COPY's data, by PostgreSQL's names.

use encoding_rs::{DecoderResult, EncoderResult, Encoding};

use crate::{Error, Result, SqlState};

/// An encoding other than UTF-8.
#[derive(Clone, Copy, Debug)]
pub(super) enum Charset {
    /// ISO 8859-1, which the table of the web's encodings takes for another one.
    Latin1,
    /// Only what all have in common.
    Ascii,
    /// One of the web's.
    Other(&'static Encoding),
}

/// The encoding of that name; `None`: UTF-8.
///
/// # Errors
/// 22023 where there is none.
pub(super) fn charset(name: &str) -> Result<Option<Charset>> {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let label = match plain.as_str() {
        "utf8" | "unicode" => return Ok(None),
        "latin1" | "iso88591" => return Ok(Some(Charset::Latin1)),
        "sqlascii" => return Ok(Some(Charset::Ascii)),
        "latin2" => "iso-8859-2",
        "latin3" => "iso-8859-3",
        "latin4" => "iso-8859-4",
        "latin5" => "iso-8859-9",
        "latin6" => "iso-8859-10",
        "latin7" => "iso-8859-13",
        "latin8" => "iso-8859-14",
        "latin9" => "iso-8859-15",
        "latin10" => "iso-8859-16",
        "win" | "win1251" => "windows-1251",
        "win866" | "alt" => "ibm866",
        "win874" => "windows-874",
        "win1250" => "windows-1250",
        "abc" | "tcvn" | "tcvn5712" | "vscii" | "win1258" => "windows-1258",
        "win1252" => "windows-1252",
        "win1253" => "windows-1253",
        "win1254" => "windows-1254",
        "win1255" => "windows-1255",
        "win1256" => "windows-1256",
        "win1257" => "windows-1257",
        "koi8" | "koi8r" => "koi8-r",
        "koi8u" => "koi8-u",
        "sjis" | "shiftjis" | "mskanji" | "win932" | "windows932" => "shift_jis",
        "eucjp" => "euc-jp",
        "euckr" | "uhc" | "win949" | "windows949" => "euc-kr",
        "euccn" | "gbk" | "win936" | "windows936" => "gbk",
        "gb18030" => "gb18030",
        "big5" | "win950" | "windows950" => "big5",
        _ => name,
    };
    match Encoding::for_label_no_replacement(label.as_bytes()) {
        Some(found) if found == encoding_rs::UTF_8 => Ok(None),
        // These have no bytes of their own for delimiters and quotes.
        Some(found) if found.is_ascii_compatible() => Ok(Some(Charset::Other(found))),
        _ => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "argument to option \"encoding\" must be a valid encoding name",
        )),
    }
}

/// Makes UTF-8 of bytes that arrive in pieces.
pub(super) struct Decoding {
    charset: Charset,
    decoder: Option<encoding_rs::Decoder>,
}

impl Decoding {
    /// Of that encoding.
    pub(super) fn new(charset: Charset) -> Decoding {
        let decoder = match charset {
            Charset::Other(encoding) => Some(encoding.new_decoder_without_bom_handling()),
            Charset::Latin1 | Charset::Ascii => None,
        };
        Decoding { charset, decoder }
    }

    /// Appends what `bytes` say to `out`; `is_end`: nothing comes behind them.
    ///
    /// # Errors
    /// 22021 for bytes that say nothing.
    pub(super) fn decode(&mut self, bytes: &[u8], is_end: bool, out: &mut Vec<u8>) -> Result<()> {
        let Some(decoder) = &mut self.decoder else {
            for byte in bytes {
                if byte.is_ascii() {
                    out.push(*byte);
                } else if matches!(self.charset, Charset::Latin1) {
                    out.extend_from_slice(&[0xc0 | (byte >> 6), 0x80 | (byte & 0x3f)]);
                } else {
                    return Err(invalid("SQL_ASCII"));
                }
            }
            return Ok(());
        };
        let mut rest = bytes;
        loop {
            let room = decoder
                .max_utf8_buffer_length_without_replacement(rest.len())
                .unwrap_or(rest.len().saturating_mul(3) + 16);
            let start = out.len();
            out.resize(start + room, 0);
            let place = out.get_mut(start..).unwrap_or_default();
            let (result, read, written) =
                decoder.decode_to_utf8_without_replacement(rest, place, is_end);
            out.truncate(start + written);
            rest = rest.get(read..).unwrap_or_default();
            match result {
                DecoderResult::InputEmpty => return Ok(()),
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    return Err(invalid(decoder.encoding().name()));
                }
            }
        }
    }
}

fn invalid(encoding: &str) -> Error {
    Error::new(
        SqlState("22021"),
        format!("invalid byte sequence for encoding \"{encoding}\""),
    )
}

/// Appends `text` to `out` in an encoding.
///
/// # Errors
/// 22P05 for a character that the encoding does not have.
pub(super) fn encode(charset: Charset, text: &str, out: &mut Vec<u8>) -> Result<()> {
    let missing = |character: char, name: &str| {
        Error::new(
            SqlState("22P05"),
            format!(
                "character {character:?} of encoding \"UTF8\" has no equivalent in encoding \"{name}\""
            ),
        )
    };
    let encoding = match charset {
        Charset::Other(encoding) => encoding,
        Charset::Latin1 | Charset::Ascii => {
            let (limit, name) = match charset {
                Charset::Latin1 => (0xff, "LATIN1"),
                _ => (0x7f, "SQL_ASCII"),
            };
            for character in text.chars() {
                match u8::try_from(u32::from(character)) {
                    Ok(byte) if byte <= limit => out.push(byte),
                    _ => return Err(missing(character, name)),
                }
            }
            return Ok(());
        }
    };
    let mut encoder = encoding.new_encoder();
    let mut rest = text;
    loop {
        let room = encoder
            .max_buffer_length_from_utf8_without_replacement(rest.len())
            .unwrap_or(rest.len().saturating_mul(4) + 16);
        let start = out.len();
        out.resize(start + room, 0);
        let place = out.get_mut(start..).unwrap_or_default();
        let (result, read, written) =
            encoder.encode_from_utf8_without_replacement(rest, place, true);
        out.truncate(start + written);
        rest = rest.get(read..).unwrap_or_default();
        match result {
            EncoderResult::InputEmpty => return Ok(()),
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(character) => {
                return Err(missing(character, encoding.name()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decoding, charset, encode};

    #[test]
    fn names_are_those_of_postgresql() {
        for name in ["UTF8", "utf-8", "UNICODE"] {
            assert!(charset(name).unwrap().is_none(), "{name}");
        }
        for name in [
            "LATIN1",
            "latin9",
            "WIN1252",
            "KOI8R",
            "SJIS",
            "EUC_JP",
            "BIG5",
            "SQL_ASCII",
        ] {
            assert!(charset(name).unwrap().is_some(), "{name}");
        }
        for name in ["", "utf-16", "no such"] {
            assert!(charset(name).is_err(), "{name}");
        }
    }

    #[test]
    fn text_comes_back_whatever_pieces_it_comes_in() {
        for (name, text) in [
            ("LATIN1", "naïve ÿ\u{85}"),
            ("SJIS", "日本語 abc"),
            ("KOI8R", "привет"),
        ] {
            let charset = charset(name).unwrap().unwrap();
            let mut bytes = Vec::new();
            encode(charset, text, &mut bytes).unwrap();
            let mut decoding = Decoding::new(charset);
            let mut out = Vec::new();
            for byte in &bytes {
                decoding.decode(&[*byte], false, &mut out).unwrap();
            }
            decoding.decode(&[], true, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), text, "{name}");
        }
    }

    #[test]
    fn what_an_encoding_lacks_is_refused() {
        let latin1 = charset("LATIN1").unwrap().unwrap();
        assert_eq!(
            encode(latin1, "€", &mut Vec::new()).unwrap_err().state().0,
            "22P05"
        );
        let sjis = charset("SJIS").unwrap().unwrap();
        let error = Decoding::new(sjis)
            .decode(b"\x81", true, &mut Vec::new())
            .unwrap_err();
        assert_eq!(error.state().0, "22021");
    }
}
