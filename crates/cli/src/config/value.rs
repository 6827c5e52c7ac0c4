//! Values of keys.

use std::{fmt, net::SocketAddr, time::Duration};

use super::keys::{Key, Kind};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Truth(bool),
    Count(u64),
    Bytes(u64),
    Time(Duration),
    Text(String),
    Texts(Vec<String>),
    /// One, or several.
    Addresses(Vec<SocketAddr>),
}

impl Value {
    /// A value from text: of an environment variable, where items of a list stand between commas.
    pub(super) fn parse(key: &Key, text: &str) -> Result<Value, String> {
        let text = text.trim();
        match key.kind {
            Kind::Truth => match text {
                "true" | "on" | "yes" | "1" => Ok(Value::Truth(true)),
                "false" | "off" | "no" | "0" => Ok(Value::Truth(false)),
                _ => Err("true or false is wanted".to_owned()),
            },
            Kind::Count => text
                .parse()
                .map(Value::Count)
                .map_err(|_| "a whole number is wanted".to_owned()),
            Kind::Texts | Kind::Addresses => {
                let items = text.split(',').map(str::trim);
                Value::list(key, items.filter(|item| !item.is_empty()))
            }
            _ => Value::from_text(key, text),
        }
    }

    /// A value from a text that is in quotes in a file.
    pub(super) fn from_text(key: &Key, text: &str) -> Result<Value, String> {
        match key.kind {
            Kind::Bytes => parse_bytes(text).map(|bytes| Value::Bytes(bytes as u64)),
            Kind::Time => parse_time(text).map(Value::Time),
            Kind::Text if text.is_empty() => Err("the text is empty".to_owned()),
            Kind::Text => Ok(Value::Text(text.to_owned())),
            Kind::Address => address(text).map(|address| Value::Addresses(vec![address])),
            Kind::Word(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            Kind::Word(words) => Err(format!("one of {} is wanted", words.join(", "))),
            Kind::Truth => Err("true or false is wanted, without quotes".to_owned()),
            Kind::Count => Err("a whole number is wanted, without quotes".to_owned()),
            Kind::Texts | Kind::Addresses => Err("a list is wanted: [\"…\"]".to_owned()),
        }
    }

    /// A value from a list of texts.
    pub(super) fn list<'t>(
        key: &Key,
        mut items: impl Iterator<Item = &'t str>,
    ) -> Result<Value, String> {
        match key.kind {
            Kind::Texts => Ok(Value::Texts(items.map(str::to_owned).collect())),
            Kind::Addresses => items
                .try_fold(Vec::new(), |mut all, item| {
                    all.push(address(item)?);
                    Ok(all)
                })
                .map(Value::Addresses),
            _ => Err("one value is wanted, not a list".to_owned()),
        }
    }

    /// What a key has where nobody sets it.
    pub(super) fn default_of(key: &Key) -> Option<Value> {
        match key.kind {
            _ if key.default.is_empty() => None,
            Kind::Texts => Some(Value::Texts(Vec::new())),
            Kind::Addresses => Some(Value::Addresses(Vec::new())),
            _ => Value::parse(key, key.default).ok(),
        }
    }
}

/// As it stands in a file.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Truth(truth) => write!(f, "{truth}"),
            Value::Count(count) => write!(f, "{count}"),
            Value::Bytes(bytes) => {
                let (shift, unit) = [(30, "GiB"), (20, "MiB"), (10, "KiB")]
                    .into_iter()
                    .find(|(shift, _)| *bytes > 0 && bytes.trailing_zeros() >= *shift)
                    .unwrap_or((0, "B"));
                write!(f, "\"{}{unit}\"", bytes >> shift)
            }
            Value::Time(time) => {
                let millis = time.as_millis();
                if millis.is_multiple_of(1000) {
                    write!(f, "\"{}s\"", millis / 1000)
                } else {
                    write!(f, "\"{millis}ms\"")
                }
            }
            Value::Text(text) => quoted(f, text),
            Value::Texts(texts) => list(f, texts.iter()),
            Value::Addresses(addresses) if addresses.len() == 1 => {
                // A key of one address takes a text, a list of them a list.
                list(f, addresses.iter().map(ToString::to_string))
            }
            Value::Addresses(addresses) => list(f, addresses.iter().map(ToString::to_string)),
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

fn list<S: AsRef<str>>(f: &mut fmt::Formatter<'_>, texts: impl Iterator<Item = S>) -> fmt::Result {
    f.write_str("[")?;
    for (at, text) in texts.enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        quoted(f, text.as_ref())?;
    }
    f.write_str("]")
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is no address with a port, such as 127.0.0.1:5432"))
}

/// Bytes, with an optional unit: 64k, 256MiB, 1G.
pub(crate) fn parse_bytes(text: &str) -> Result<usize, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(format!("unknown unit {unit:?}: use B, KiB, MiB or GiB")),
    };
    let number: usize = number
        .parse()
        .map_err(|_| "a number of bytes is wanted, for example 256MiB".to_string())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "too large".into())
}

/// A time with its unit: 500ms, 10s, 5min, 1h.
pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    let wanted = || "a time with its unit is wanted: 500ms, 10s, 5min, 1h".to_owned();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis: u64 = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wanted()),
    };
    let number: u64 = number.parse().map_err(|_| wanted())?;
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(|| "too long".to_owned())
}
