//! What a checkpoint says about the store besides its pages: keyspaces, and where in the log
//! replay begins. Encoded as a protobuf message, see `docs/formats/manifest.md`.

use std::path::Path;

use prost::Message;

use crate::{
    engine::{EngineKind, KeyspaceOptions},
    error::{Error, Result},
    lsm::{RunRecord, TableRecord},
    lsn::{KeyspaceId, Lsn},
    page::PageId,
    store::EngineRecord,
    wal::{StoreId, WalPosition, engine_code, engine_of},
};

/// The version that this code writes, and the newest it reads.
const FORMAT_VERSION: u32 = 2;
/// The oldest that it reads: in it whole runs were staged, in front of the levels only.
const STAGED_RUNS: u32 = 1;

/// No level has a higher number.
const LEVEL_LIMIT: u32 = 32;

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
    #[prost(uint64, tag = "8")]
    next_table: u64,
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
    #[prost(message, repeated, tag = "7")]
    runs: Vec<StoredRun>,
    #[prost(uint32, tag = "8")]
    replaces: u32,
}

#[derive(Clone, PartialEq, Message)]
struct StoredRun {
    #[prost(uint32, tag = "1")]
    level: u32,
    #[prost(uint64, tag = "2")]
    staged_lsn: u64,
    #[prost(message, repeated, tag = "3")]
    tables: Vec<StoredTable>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredTable {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(fixed64, tag = "2")]
    salt: u64,
    #[prost(uint64, tag = "3")]
    length: u64,
    #[prost(uint64, tag = "4")]
    staged_lsn: u64,
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
    /// No table has this number or a higher one.
    pub(crate) next_table: u64,
}

/// One keyspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyspaceRecord {
    /// Its id.
    pub(crate) id: KeyspaceId,
    /// How it was created.
    pub(crate) options: KeyspaceOptions,
    /// Its contents.
    pub(crate) engine: EngineRecord,
    /// The commit that created it.
    pub(crate) created: Lsn,
    /// The commit that adopted a staging keyspace's engine: older versions hold staged values.
    pub(crate) adopted: Lsn,
    /// The keyspace whose place it will take.
    pub(crate) replaces: Option<KeyspaceId>,
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
                    engine: u32::from(engine_code(keyspace.options.engine)),
                    staging: keyspace.options.staging,
                    root_page: keyspace.engine.root.map_or(0, |root| root.0),
                    created_lsn: keyspace.created.0,
                    adopted_lsn: keyspace.adopted.0,
                    runs: keyspace.engine.runs.iter().map(StoredRun::of).collect(),
                    replaces: keyspace.replaces.map_or(0, |id| id.0),
                })
                .collect(),
            garbage: self
                .garbage
                .iter()
                .map(|root| StoredTree {
                    engine: u32::from(engine_code(EngineKind::BTree)),
                    root_page: root.0,
                })
                .collect(),
            next_table: self.next_table,
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
        if !(STAGED_RUNS..=FORMAT_VERSION).contains(&stored.format_version) {
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
        let check_engine = |engine: u32| {
            let engine = u8::try_from(engine).ok().and_then(engine_of);
            engine.ok_or_else(|| corrupt("unknown engine"))
        };
        let check_root = |root: u32| match root {
            0 => Err(corrupt("a tree without a root")),
            root => Ok(PageId(root)),
        };
        let mut keyspaces = Vec::new();
        for keyspace in stored.keyspaces {
            let options = KeyspaceOptions {
                engine: check_engine(keyspace.engine)?,
                staging: keyspace.staging,
            };
            let replaces = (keyspace.replaces != 0).then_some(KeyspaceId(keyspace.replaces));
            let kind = match replaces {
                Some(_) => options.engine,
                None => options.engine_kind(),
            };
            let root = kind.has_tree().then(|| check_root(keyspace.root_page));
            let runs = keyspace.runs.iter();
            let runs: Option<Vec<RunRecord>> =
                runs.map(|run| run.record(stored.format_version)).collect();
            let runs = runs.ok_or_else(|| corrupt("a run is staged that cannot be"))?;
            if !kind.has_tables() && !runs.is_empty() {
                return Err(corrupt("an engine without tables lists some"));
            }
            if !levels_are_in_order(&runs) {
                return Err(corrupt("the runs of a keyspace are out of order"));
            }
            if keyspace.id >= stored.next_keyspace_id {
                return Err(corrupt("a keyspace's id has not been given out"));
            }
            keyspaces.push(KeyspaceRecord {
                id: KeyspaceId(keyspace.id),
                options,
                engine: EngineRecord {
                    kind,
                    root: root.transpose()?,
                    runs,
                },
                created: Lsn(keyspace.created_lsn),
                adopted: Lsn(keyspace.adopted_lsn),
                replaces,
            });
        }
        let garbage: Result<_> = stored
            .garbage
            .iter()
            .map(|tree| match check_engine(tree.engine)? {
                EngineKind::BTree => check_root(tree.root_page),
                _ => Err(corrupt("garbage that is no tree")),
            })
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
            next_table: stored.next_table,
        };
        if !manifest.replacements_fit() {
            return Err(corrupt("a replacement has no keyspace to replace"));
        }
        let mut ids: Vec<_> = manifest
            .keyspaces
            .iter()
            .map(|keyspace| keyspace.id)
            .collect();
        let mut roots: Vec<_> = manifest
            .keyspaces
            .iter()
            .filter_map(|keyspace| keyspace.engine.root)
            .collect();
        roots.extend(&manifest.garbage);
        let mut tables = manifest.table_numbers();
        let count = (ids.len(), roots.len(), tables.len());
        ids.sort_unstable();
        ids.dedup();
        roots.sort_unstable();
        roots.dedup();
        tables.dedup();
        if (ids.len(), roots.len(), tables.len()) != count {
            return Err(corrupt("a keyspace, tree or table is listed twice"));
        }
        if tables
            .last()
            .is_some_and(|last| *last >= manifest.next_table)
        {
            return Err(corrupt("a table's number has not been given out"));
        }
        Ok(manifest)
    }

    /// Whether each replacement is staged for one keyspace that is there, and no other is.
    fn replacements_fit(&self) -> bool {
        let replacements = || self.keyspaces.iter().filter(|one| one.replaces.is_some());
        let mut replaced: Vec<_> = replacements().filter_map(|one| one.replaces).collect();
        replaced.sort_unstable();
        replaced.is_sorted_by(|a, b| a < b)
            && replacements().all(|one| one.options.staging)
            && replaced.iter().all(|id| {
                let mut all = self.keyspaces.iter();
                all.any(|one| one.id == *id && !one.options.staging)
            })
    }

    /// The numbers of all tables, sorted.
    pub(crate) fn table_numbers(&self) -> Vec<u64> {
        let runs = self
            .keyspaces
            .iter()
            .flat_map(|keyspace| &keyspace.engine.runs);
        let tables = runs.flat_map(|run| &run.tables);
        let mut numbers: Vec<u64> = tables.map(|table| table.number).collect();
        numbers.sort_unstable();
        numbers
    }
}

/// Runs in front come first, then at most one run per level.
fn levels_are_in_order(runs: &[RunRecord]) -> bool {
    let within = runs
        .iter()
        .all(|run| run.level <= LEVEL_LIMIT && !run.tables.is_empty());
    within && runs.is_sorted_by(|a, b| a.level < b.level || (a.level, b.level) == (0, 0))
}

impl StoredRun {
    fn of(run: &RunRecord) -> StoredRun {
        let tables = run.tables.iter().map(|table| StoredTable {
            number: table.number,
            salt: table.salt,
            length: table.len,
            staged_lsn: table.staged.0,
        });
        StoredRun {
            level: run.level,
            staged_lsn: 0,
            tables: tables.collect(),
        }
    }

    /// The run, or `None` where it says of itself what its format does not.
    fn record(&self, version: u32) -> Option<RunRecord> {
        let of_run = version == STAGED_RUNS && self.level == 0;
        if self.staged_lsn != 0 && !of_run {
            return None;
        }
        let tables = self.tables.iter().map(|table| {
            if table.staged_lsn != 0 && version == STAGED_RUNS {
                return None;
            }
            Some(TableRecord {
                number: table.number,
                salt: table.salt,
                len: table.length,
                staged: Lsn(self.staged_lsn.max(table.staged_lsn)),
            })
        });
        Some(RunRecord {
            level: self.level,
            tables: tables.collect::<Option<_>>()?,
        })
    }
}

/// Arbitrary manifests.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing {
    use std::path::Path;

    use super::Manifest;

    /// What decodes encodes to what decodes to the same.
    pub(crate) fn any_manifest(data: &[u8]) {
        let file = Path::new("data");
        if let Ok(manifest) = Manifest::decode(data, file) {
            let again = Manifest::decode(&manifest.encode(), file);
            assert!(again.is_ok_and(|again| again == manifest), "{manifest:?}");
            let _ = manifest.table_numbers();
        }
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
            engine: EngineRecord {
                kind: EngineKind::BTree,
                root: Some(PageId(id * 10)),
                runs: Vec::new(),
            },
            created: Lsn(u64::from(id)),
            adopted: Lsn(0),
            replaces: None,
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
            next_table: 0,
        }
    }

    fn with_tables() -> Manifest {
        let run = |level, staged, tables: &[u64]| {
            let table = |number| TableRecord {
                number,
                salt: number << 40,
                len: 1000 + number,
                staged: Lsn(staged),
            };
            RunRecord {
                level,
                tables: tables.iter().copied().map(table).collect(),
            }
        };
        let mut manifest = manifest();
        for (at, kind) in [(0, EngineKind::Lsm), (1, EngineKind::Hybrid)] {
            let keyspace = &mut manifest.keyspaces[at];
            let number = 10 * at as u64;
            keyspace.options.engine = kind;
            keyspace.options.staging = false;
            keyspace.engine.kind = kind;
            keyspace.engine.root = kind.has_tree().then_some(PageId(80));
            keyspace.engine.runs = vec![
                run(0, 0, &[number + 3]),
                run(0, 17, &[number + 1, number + 2]),
                run(2, 19 * at as u64, &[number + 4]),
            ];
        }
        manifest.next_table = 30;
        manifest
    }

    #[test]
    fn tables_round_trip() {
        let decode = |manifest: &Manifest| Manifest::decode(&manifest.encode(), Path::new("m"));
        assert_eq!(decode(&with_tables()).unwrap(), with_tables());
        let refused = |change: fn(&mut Vec<RunRecord>)| {
            let mut manifest = with_tables();
            change(&mut manifest.keyspaces[0].engine.runs);
            assert!(matches!(decode(&manifest), Err(Error::Corrupt { .. })));
        };
        refused(|runs| runs.swap(0, 2));
        refused(|runs| runs[2].level = 99);
        refused(|runs| runs[1].tables.clear());
        refused(|runs| runs[1].tables[0].number = 30);
        refused(|runs| runs[1].tables[0].number = 13);
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
            "080212100303030303030303030303030303030318\
             8080f9c0c1c4820320092a130804114d000000000000001880202505000000\
             320808011001200a2801320a080810011801205028083a0408011003"
        );
    }

    #[test]
    fn the_first_format_opens() {
        let mut stored = Stored::decode(with_tables().encode().as_slice()).unwrap();
        stored.format_version = STAGED_RUNS;
        let decode = |stored: &Stored| Manifest::decode(&stored.encode_to_vec(), Path::new("m"));
        // It has no tables that were staged one by one.
        assert!(matches!(decode(&stored), Err(Error::Corrupt { .. })));
        let mut expected = with_tables();
        for (stored, keyspace) in stored.keyspaces.iter_mut().zip(&mut expected.keyspaces) {
            let records = &mut keyspace.engine.runs;
            for (run, record) in stored.runs.iter_mut().zip(records) {
                for (table, record) in run.tables.iter_mut().zip(&mut record.tables) {
                    run.staged_lsn = std::mem::take(&mut table.staged_lsn);
                    if run.level > 0 {
                        (run.staged_lsn, record.staged) = (0, Lsn::ZERO);
                    }
                }
            }
        }
        assert_eq!(decode(&stored).unwrap(), expected);
        let level = stored.keyspaces[0].runs.last_mut().unwrap();
        level.staged_lsn = 4;
        assert!(matches!(decode(&stored), Err(Error::Corrupt { .. })));
        // Nor does the second have whole runs that were.
        stored.format_version = FORMAT_VERSION;
        assert!(matches!(decode(&stored), Err(Error::Corrupt { .. })));
        for version in [0, FORMAT_VERSION + 1] {
            stored.format_version = version;
            assert!(matches!(decode(&stored), Err(Error::Version { .. })));
        }
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
