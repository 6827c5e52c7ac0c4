//! The payload of a commit: operations as tagged, length-prefixed bytes.
//!
//! ```text
//! operation = tag keyspace body        tag: one byte; keyspace and lengths: LEB128
//! put       = 1 keyspace key-len key value-len value
//! delete    = 2 keyspace key-len key
//! create    = 3 keyspace engine flags  engine, flags: one byte each
//! drop      = 4 keyspace
//! merge     = 5 from-keyspace into-keyspace
//! prepare   = 6 replacement-keyspace keyspace engine
//! replace   = 7 keyspace replacement-keyspace
//! ```

use crate::{
    batch::Operation,
    engine::{EngineKind, KeyspaceOptions},
    lsn::KeyspaceId,
};

const PUT: u8 = 1;
const DELETE: u8 = 2;
const CREATE: u8 = 3;
const DROP: u8 = 4;
const MERGE: u8 = 5;
const CREATE_REPLACEMENT: u8 = 6;
const REPLACE: u8 = 7;

const ENGINE_BTREE: u8 = 1;
const ENGINE_LSM: u8 = 2;
const ENGINE_HYBRID: u8 = 3;
const FLAG_STAGING: u8 = 1;

/// One operation, its bytes borrowed from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoggedOperation<'a> {
    /// Sets a key.
    Put {
        keyspace: KeyspaceId,
        key: &'a [u8],
        value: &'a [u8],
    },
    /// Removes a key.
    Delete { keyspace: KeyspaceId, key: &'a [u8] },
    /// Creates a keyspace.
    Create {
        keyspace: KeyspaceId,
        options: KeyspaceOptions,
    },
    /// Drops a keyspace.
    Drop { keyspace: KeyspaceId },
    /// Moves a staging keyspace's entries.
    Merge { from: KeyspaceId, into: KeyspaceId },
    /// Creates what will take a keyspace's place.
    CreateReplacement {
        replacement: KeyspaceId,
        keyspace: KeyspaceId,
        engine: EngineKind,
    },
    /// Puts a replacement in its keyspace's place.
    Replace {
        keyspace: KeyspaceId,
        replacement: KeyspaceId,
    },
}

/// The engine's number on disk.
pub(crate) fn engine_code(engine: EngineKind) -> u8 {
    match engine {
        EngineKind::BTree => ENGINE_BTREE,
        EngineKind::Lsm => ENGINE_LSM,
        EngineKind::Hybrid => ENGINE_HYBRID,
    }
}

/// The engine of a number on disk.
pub(crate) fn engine_of(code: u8) -> Option<EngineKind> {
    match code {
        ENGINE_BTREE => Some(EngineKind::BTree),
        ENGINE_LSM => Some(EngineKind::Lsm),
        ENGINE_HYBRID => Some(EngineKind::Hybrid),
        _ => None,
    }
}

/// Where encoded bytes go.
pub(crate) trait Sink {
    /// Takes the next bytes.
    fn extend(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn extend(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Tag and numbers of an operation, which go to the sink in one piece.
#[derive(Default)]
struct Head {
    bytes: [u8; 24],
    len: usize,
}

impl Head {
    fn byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    fn written(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Appends the bytes of one operation.
pub(crate) fn encode(operation: &Operation, out: &mut impl Sink) {
    let mut head = Head::default();
    match operation {
        Operation::Put {
            keyspace,
            key,
            value,
        } => {
            head.byte(PUT);
            head.varint(keyspace.0.into());
            head.varint(key.len() as u64);
            out.extend(head.written());
            out.extend(key);
            let mut head = Head::default();
            head.varint(value.len() as u64);
            out.extend(head.written());
            out.extend(value);
            return;
        }
        Operation::Delete { keyspace, key } => {
            head.byte(DELETE);
            head.varint(keyspace.0.into());
            head.varint(key.len() as u64);
            out.extend(head.written());
            out.extend(key);
            return;
        }
        Operation::CreateKeyspace { keyspace, options } => {
            head.byte(CREATE);
            head.varint(keyspace.0.into());
            head.byte(engine_code(options.engine));
            head.byte(if options.staging { FLAG_STAGING } else { 0 });
        }
        Operation::DropKeyspace { keyspace } => {
            head.byte(DROP);
            head.varint(keyspace.0.into());
        }
        Operation::Merge { from, into } => {
            head.byte(MERGE);
            head.varint(from.0.into());
            head.varint(into.0.into());
        }
        Operation::CreateReplacement {
            replacement,
            keyspace,
            engine,
        } => {
            head.byte(CREATE_REPLACEMENT);
            head.varint(replacement.0.into());
            head.varint(keyspace.0.into());
            head.byte(engine_code(*engine));
        }
        Operation::Replace {
            keyspace,
            replacement,
        } => {
            head.byte(REPLACE);
            head.varint(keyspace.0.into());
            head.varint(replacement.0.into());
        }
    }
    out.extend(head.written());
}

/// Reads operations one after the other; the error names what does not parse.
#[derive(Debug)]
pub(crate) struct BatchReader<'a> {
    rest: &'a [u8],
}

impl<'a> BatchReader<'a> {
    /// Reads from `payload`.
    pub(crate) fn new(payload: &'a [u8]) -> BatchReader<'a> {
        BatchReader { rest: payload }
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        let (first, rest) = self
            .rest
            .split_first()
            .ok_or("a batch ends inside an operation")?;
        self.rest = rest;
        Ok(*first)
    }

    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err("a length in a batch overflows");
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a length in a batch does not end")
    }

    fn keyspace(&mut self) -> Result<KeyspaceId, &'static str> {
        let id = u32::try_from(self.varint()?).map_err(|_| "a keyspace id in a batch overflows")?;
        Ok(KeyspaceId(id))
    }

    fn bytes(&mut self) -> Result<&'a [u8], &'static str> {
        let len = usize::try_from(self.varint()?).map_err(|_| "a length in a batch overflows")?;
        if len > self.rest.len() {
            return Err("a key or value reaches past the end of its batch");
        }
        let (bytes, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(bytes)
    }

    /// The next operation, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<LoggedOperation<'a>>, &'static str> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let operation = match self.byte()? {
            PUT => LoggedOperation::Put {
                keyspace: self.keyspace()?,
                key: self.bytes()?,
                value: self.bytes()?,
            },
            DELETE => LoggedOperation::Delete {
                keyspace: self.keyspace()?,
                key: self.bytes()?,
            },
            CREATE => {
                let keyspace = self.keyspace()?;
                let engine = engine_of(self.byte()?).ok_or("a batch names an unknown engine")?;
                let flags = self.byte()?;
                if flags & !FLAG_STAGING != 0 {
                    return Err("a batch has unknown keyspace flags");
                }
                let options = KeyspaceOptions {
                    engine,
                    staging: flags & FLAG_STAGING != 0,
                };
                LoggedOperation::Create { keyspace, options }
            }
            DROP => LoggedOperation::Drop {
                keyspace: self.keyspace()?,
            },
            MERGE => LoggedOperation::Merge {
                from: self.keyspace()?,
                into: self.keyspace()?,
            },
            CREATE_REPLACEMENT => LoggedOperation::CreateReplacement {
                replacement: self.keyspace()?,
                keyspace: self.keyspace()?,
                engine: engine_of(self.byte()?).ok_or("a batch names an unknown engine")?,
            },
            REPLACE => LoggedOperation::Replace {
                keyspace: self.keyspace()?,
                replacement: self.keyspace()?,
            },
            _ => return Err("a batch holds an unknown operation"),
        };
        Ok(Some(operation))
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;
    use crate::batch::Batch;

    fn read_all(payload: &[u8]) -> Result<usize, &'static str> {
        let mut reader = BatchReader::new(payload);
        let mut count = 0;
        while reader.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    #[test]
    fn operations_round_trip() {
        let mut batch = Batch::new();
        batch.create_keyspace(
            KeyspaceId(u32::MAX),
            KeyspaceOptions {
                staging: true,
                ..Default::default()
            },
        );
        batch.put(KeyspaceId(1), *b"key", vec![7; 300]);
        batch.put(KeyspaceId(300), Vec::new(), Vec::new());
        batch.delete(KeyspaceId(2), *b"gone");
        batch.merge(KeyspaceId(u32::MAX), KeyspaceId(1));
        batch.drop_keyspace(KeyspaceId(300));
        batch.create_replacement(KeyspaceId(301), KeyspaceId(1), EngineKind::Hybrid);
        batch.replace(KeyspaceId(1), KeyspaceId(301));
        let mut payload = Vec::new();
        for operation in batch.operations() {
            encode(operation, &mut payload);
        }
        let mut reader = BatchReader::new(&payload);
        for operation in batch.operations() {
            let read = match reader.next().unwrap().unwrap() {
                LoggedOperation::Put {
                    keyspace,
                    key,
                    value,
                } => Operation::Put {
                    keyspace,
                    key: key.to_vec(),
                    value: value.to_vec(),
                },
                LoggedOperation::Delete { keyspace, key } => Operation::Delete {
                    keyspace,
                    key: key.to_vec(),
                },
                LoggedOperation::Create { keyspace, options } => {
                    Operation::CreateKeyspace { keyspace, options }
                }
                LoggedOperation::Drop { keyspace } => Operation::DropKeyspace { keyspace },
                LoggedOperation::Merge { from, into } => Operation::Merge { from, into },
                LoggedOperation::CreateReplacement {
                    replacement,
                    keyspace,
                    engine,
                } => Operation::CreateReplacement {
                    replacement,
                    keyspace,
                    engine,
                },
                LoggedOperation::Replace {
                    keyspace,
                    replacement,
                } => Operation::Replace {
                    keyspace,
                    replacement,
                },
            };
            assert_eq!(&read, operation);
        }
        assert_eq!(reader.next(), Ok(None));
        for end in 0..payload.len() {
            let _ = read_all(&payload[..end]);
        }
    }

    quickcheck! {
        fn any_bytes_are_an_answer(payload: Vec<u8>) -> bool {
            read_all(&payload).is_ok_and(|count| count <= payload.len()) || read_all(&payload).is_err()
        }
    }
}
