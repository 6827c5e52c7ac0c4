//! What a checkpoint says about the store besides its pages: keyspaces, and where in the log
//! replay begins. Encoded as a protobuf message, see `docs/formats/manifest.md`.

use std::path::Path;

use prost::Message;

use crate::{
    engine::KeyspaceOptions,
    error::{Error, Result},
    lsn::{KeyspaceId, Lsn},
    page::PageId,
    wal::{StoreId, WalPosition, engine_code, engine_of},
};

/// The version that this code writes, and the newest it reads.
const FORMAT_VERSION: u32 = 1;

/// The message as it is stored.
#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(uint32, tag = "1")]
    format_version: u32,
    #[prost(bytes = "vec", tag = "2")]
    store_id: Vec<u8>,
    #[prost(int64, tag = "3")]
    created_micros: i64,
    #[prost(uint32, tag = "4")]
    next_keyspace_id: u32,
    #[prost(message, optional, tag = "5")]
    replay_from: Option<StoredPosition>,
    #[prost(message, repeated, tag = "6")]
    keyspaces: Vec<StoredKeyspace>,
    #[prost(message, repeated, tag = "7")]
    garbage: Vec<StoredTree>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredPosition {
    #[prost(uint64, tag = "1")]
    segment: u64,
    #[prost(fixed64, tag = "2")]
    salt: u64,
    #[prost(uint64, tag = "3")]
    offset: u64,
    #[prost(fixed32, tag = "4")]
    chain: u32,
}

#[derive(Clone, PartialEq, Message)]
struct StoredKeyspace {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(uint32, tag = "2")]
    engine: u32,
    #[prost(bool, tag = "3")]
    staging: bool,
    #[prost(uint32, tag = "4")]
    root_page: u32,
    #[prost(uint64, tag = "5")]
    created_lsn: u64,
    #[prost(uint64, tag = "6")]
    adopted_lsn: u64,
}

#[derive(Clone, PartialEq, Message)]
struct StoredTree {
    #[prost(uint32, tag = "1")]
    engine: u32,
    #[prost(uint32, tag = "2")]
    root_page: u32,
}

/// The manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The store's identity, which its log segments carry too.
    pub(crate) store: StoreId,
    /// When the store was created, in microseconds since 1970.
    pub(crate) created: i64,
    /// No keyspace has this id or a higher one.
    pub(crate) next_keyspace: u32,
    /// Where the log goes on after the checkpoint.
    pub(crate) replay_from: WalPosition,
    /// The keyspaces that exist.
    pub(crate) keyspaces: Vec<KeyspaceRecord>,
    /// Roots of trees that belong to no keyspace any more and wait to be freed.
    pub(crate) garbage: Vec<PageId>,
}

/// One keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyspaceRecord {
    /// Its id.
    pub(crate) id: KeyspaceId,
    /// How it was created.
    pub(crate) options: KeyspaceOptions,
    /// Its tree.
    pub(crate) root: PageId,
    /// The commit that created it.
    pub(crate) created: Lsn,
    /// The commit that adopted a staging keyspace's tree: older versions hold staged values.
    pub(crate) adopted: Lsn,
}

impl Manifest {
    /// The manifest's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let WalPosition {
            sequence,
            salt,
            offset,
            chain,
        } = self.replay_from;
        let engine = |options: KeyspaceOptions| u32::from(engine_code(options.engine));
        let stored = Stored {
            format_version: FORMAT_VERSION,
            store_id: self.store.to_vec(),
            created_micros: self.created,
            next_keyspace_id: self.next_keyspace,
            replay_from: Some(StoredPosition {
                segment: sequence,
                salt,
                offset,
                chain,
            }),
            keyspaces: self
                .keyspaces
                .iter()
                .map(|keyspace| StoredKeyspace {
                    id: keyspace.id.0,
                    engine: engine(keyspace.options),
                    staging: keyspace.options.staging,
                    root_page: keyspace.root.0,
                    created_lsn: keyspace.created.0,
                    adopted_lsn: keyspace.adopted.0,
                })
                .collect(),
            garbage: self
                .garbage
                .iter()
                .map(|root| StoredTree {
                    engine: engine(KeyspaceOptions::default()),
                    root_page: root.0,
                })
                .collect(),
        };
        stored.encode_to_vec()
    }

    /// Reads a manifest; `file` is where it came from.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Version`].
    pub(crate) fn decode(bytes: &[u8], file: &Path) -> Result<Manifest> {
        let corrupt = |reason: &str| Error::corrupt(file, 0, format!("manifest: {reason}"));
        let stored = Stored::decode(bytes).map_err(|error| corrupt(&error.to_string()))?;
        if stored.format_version != FORMAT_VERSION {
            let (path, found) = (file.to_path_buf(), stored.format_version);
            return Err(Error::Version {
                path,
                found,
                supported: FORMAT_VERSION,
            });
        }
        let store = stored
            .store_id
            .try_into()
            .map_err(|_| corrupt("the store id has another length"))?;
        let from = stored
            .replay_from
            .ok_or_else(|| corrupt("no place in the log"))?;
        let check_tree = |engine: u32, root: u32| {
            let engine = u8::try_from(engine).ok().and_then(engine_of);
            let engine = engine.ok_or_else(|| corrupt("unknown engine"))?;
            if root == 0 {
                Err(corrupt("a tree without a root"))
            } else {
                Ok((engine, PageId(root)))
            }
        };
        let mut keyspaces = Vec::new();
        for keyspace in stored.keyspaces {
            let (engine, root) = check_tree(keyspace.engine, keyspace.root_page)?;
            if keyspace.id >= stored.next_keyspace_id {
                return Err(corrupt("a keyspace's id has not been given out"));
            }
            keyspaces.push(KeyspaceRecord {
                id: KeyspaceId(keyspace.id),
                options: KeyspaceOptions {
                    engine,
                    staging: keyspace.staging,
                },
                root,
                created: Lsn(keyspace.created_lsn),
                adopted: Lsn(keyspace.adopted_lsn),
            });
        }
        let garbage: Result<_> = stored
            .garbage
            .iter()
            .map(|tree| Ok(check_tree(tree.engine, tree.root_page)?.1))
            .collect();
        let manifest = Manifest {
            store,
            created: stored.created_micros,
            next_keyspace: stored.next_keyspace_id,
            replay_from: WalPosition {
                sequence: from.segment,
                salt: from.salt,
                offset: from.offset,
                chain: from.chain,
            },
            keyspaces,
            garbage: garbage?,
        };
        let mut ids: Vec<_> = manifest
            .keyspaces
            .iter()
            .map(|keyspace| keyspace.id)
            .collect();
        let mut roots: Vec<_> = manifest
            .keyspaces
            .iter()
            .map(|keyspace| keyspace.root)
            .collect();
        roots.extend(&manifest.garbage);
        let count = (ids.len(), roots.len());
        ids.sort_unstable();
        ids.dedup();
        roots.sort_unstable();
        roots.dedup();
        if (ids.len(), roots.len()) != count {
            return Err(corrupt("a keyspace or tree is listed twice"));
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    fn manifest() -> Manifest {
        let keyspace = |id, staging| KeyspaceRecord {
            id: KeyspaceId(id),
            options: KeyspaceOptions {
                staging,
                ..Default::default()
            },
            root: PageId(id * 10),
            created: Lsn(u64::from(id)),
            adopted: Lsn(0),
        };
        Manifest {
            store: [3; 16],
            created: 1_700_000_000_000_000,
            next_keyspace: 9,
            replay_from: WalPosition {
                sequence: 4,
                salt: 77,
                offset: 4096,
                chain: 5,
            },
            keyspaces: vec![keyspace(1, false), keyspace(8, true)],
            garbage: vec![PageId(3)],
        }
    }

    #[test]
    fn bytes_are_these() {
        let bytes = manifest().encode();
        assert_eq!(
            Manifest::decode(&bytes, Path::new("m")).unwrap(),
            manifest()
        );
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "080112100303030303030303030303030303030318\
             8080f9c0c1c4820320092a130804114d000000000000001880202505000000\
             320808011001200a2801320a080810011801205028083a0408011003"
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let decode = |manifest: &Manifest| Manifest::decode(&manifest.encode(), Path::new("m"));
        let mut twice = manifest();
        twice.garbage.push(PageId(10));
        assert!(matches!(decode(&twice), Err(Error::Corrupt { .. })));
        let mut unknown = manifest();
        unknown.next_keyspace = 8;
        assert!(matches!(decode(&unknown), Err(Error::Corrupt { .. })));
        assert!(Manifest::decode(&[], Path::new("m")).is_err());
    }

    quickcheck! {
        fn any_bytes_are_an_answer(bytes: Vec<u8>) -> bool {
            Manifest::decode(&bytes, Path::new("m")).is_err()
        }
    }
}
