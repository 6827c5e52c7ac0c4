//! RocksDB: a log-structured merge tree.

use std::path::{Path, PathBuf};

use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, Direction, IngestExternalFileOptions,
    IteratorMode, Options, ReadOptions, SstFileWriter, WriteBatch, WriteOptions,
};

use super::{Engine, Key, Result, Settings, Value};

/// A database with its default column family.
pub struct Rocks {
    database: DB,
    options: Options,
    path: PathBuf,
}

impl Rocks {
    /// Opens or creates the database.
    pub fn open(path: &Path, settings: Settings) -> Result<Rocks> {
        std::fs::create_dir_all(path)?;
        let options = options(settings);
        let path = path.to_path_buf();
        let database = DB::open(&options, path.join("db"))?;
        Ok(Rocks {
            database,
            options,
            path,
        })
    }
}

/// How a database is opened.
pub fn options(settings: Settings) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_lru_cache(settings.memory / 2));
    blocks.set_bloom_filter(10.0, false);
    blocks.set_cache_index_and_filter_blocks(true);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::None);
    options.increase_parallelism(2);
    options.set_write_buffer_size(settings.memory / 8);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_bytes_per_sync(1 << 20);
    options
}

/// Writes rows in ascending order to a file in `path`, and says how it is ingested.
pub fn sorted_file(
    path: &Path,
    options: &Options,
    rows: &mut dyn Iterator<Item = (Key, Value)>,
) -> Result<(PathBuf, IngestExternalFileOptions)> {
    let file = path.join("load.sst");
    let mut writer = SstFileWriter::create(options);
    writer.open(&file)?;
    for (key, value) in rows {
        writer.put(key, value)?;
    }
    writer.finish()?;
    let mut how = IngestExternalFileOptions::default();
    how.set_move_files(true);
    Ok((file, how))
}

/// A row as an iterator gives it.
type Row = std::result::Result<(Box<[u8]>, Box<[u8]>), rocksdb::Error>;

/// Reads up to `count` rows; how many there were.
pub fn take(rows: impl Iterator<Item = Row>, count: usize) -> Result<usize> {
    let mut found = 0;
    for row in rows.take(count) {
        std::hint::black_box(row?);
        found += 1;
    }
    Ok(found)
}

impl Engine for Rocks {
    fn load(&self, rows: &mut dyn Iterator<Item = (Key, Value)>) -> Result<()> {
        let (file, how) = sorted_file(&self.path, &self.options, rows)?;
        self.database.ingest_external_file_opts(&how, vec![file])?;
        Ok(())
    }

    fn write(&self, rows: &[(Key, Value)]) -> Result<()> {
        let mut batch = WriteBatch::default();
        for (key, value) in rows {
            batch.put(key, value);
        }
        self.database.write(batch)?;
        Ok(())
    }

    fn put_durable(&self, key: &Key, value: &Value) -> Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.database.put_opt(key, value, &options)?;
        Ok(())
    }

    fn get(&self, key: &Key) -> Result<Option<usize>> {
        let found = self.database.get_pinned(key)?;
        Ok(found.map(|value| std::hint::black_box(&value[..]).len()))
    }

    fn scan(&self, from: &Key, count: usize) -> Result<usize> {
        let mode = IteratorMode::From(from, Direction::Forward);
        let rows = self.database.iterator_opt(mode, ReadOptions::default());
        take(rows, count)
    }

    fn settle(&self) -> Result<()> {
        self.database.flush()?;
        self.database.compact_range(None::<&[u8]>, None::<&[u8]>);
        self.database.flush_wal(true)?;
        Ok(())
    }
}
