//! Loading a file: find out how it is written, infer the types from all of it, load it.
//!
//! ```text
//!  file ─► decompress, decode ─► chunks of whole records        (the calling thread)
//!            │ bounded
//!            ▼
//!          records ─► fields ─► values, rejects                 (rayon, one task a chunk)
//!            │ bounded channel, put back in file order
//!            ▼
//!          rows ─► staging keyspaces ─► one commit              (one thread)
//! ```
//!
//! Chunks in flight are counted, so memory is bounded whatever the file's size. The table is made
//! and filled in one transaction: a failed load leaves nothing behind.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crossbeam_channel::{Receiver, Sender, bounded};
use rayon::{ThreadPool, ThreadPoolBuilder};
use rustling_sql::{BulkLoader, DataType, Database, RefusedRow, Session, SqlState, catalog::Table};
use rustling_storage::Env;

use crate::{
    chunk::{Chunk, ChunkLimits, ChunkReader},
    convert::Converter,
    create::create_table,
    dialect::{DialectOptions, FirstRecord, detect, first_record},
    error::{BadRow, Error, Reason, Result},
    infer::Guess,
    record::{Dialect, Fields},
    rejects::RejectsWriter,
    rows::{Row, RowReader},
    schema::{ColumnSpec, column_names, match_columns},
    source::Source,
};

/// How much of the file is looked at to find its dialect.
const SAMPLE_BYTES: usize = 256 << 10;
/// Rows handed to storage at once, where nothing else is said.
const BATCH_ROWS: usize = 4_096;

/// How a file is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The table to load into; made where it is missing.
    pub table: String,
    /// The file's columns in order; `None`: its header's, or `column1` and so on.
    pub schema: Option<Vec<ColumnSpec>>,
    /// What is known of the file's dialect.
    pub dialect: DialectOptions,
    /// Texts that mean NULL where they stand without quotes.
    pub nulls: Vec<String>,
    /// The file's encoding by a label of the WHATWG Encoding Standard; `None`: UTF-8.
    pub encoding: Option<String>,
    /// What to do with rows that do not fit.
    pub on_error: OnError,
    /// Parser threads; 0: one per processor.
    pub parallel: usize,
    /// Rows handed to storage at once; 0: a few thousand.
    pub batch_size: usize,
    /// Where the file lies, and the rejects go: not where the database does, which may be in
    /// memory.
    pub files: Env,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions {
            table: String::new(),
            schema: None,
            dialect: DialectOptions::default(),
            nulls: vec!["NA".into(), String::new()],
            encoding: None,
            on_error: OnError::Abort,
            parallel: 0,
            batch_size: 0,
            files: Env::system(),
        }
    }
}

/// What happens to a row that does not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The load stops, and nothing is loaded.
    #[default]
    Abort,
    /// The row is left out and counted.
    Skip,
    /// The row is left out and written, with line, column and reason, to this file; `None`: the
    /// file's name with `.rejects.csv`.
    Rejects(Option<PathBuf>),
}

/// Statistics are collected anew where a load brings more rows than this, and
const ANALYZE_THRESHOLD: u64 = 50;
/// more than the table's former rows divided by this (PostgreSQL's autovacuum has the same
/// defaults).
const ANALYZE_PART: u64 = 10;

/// A step of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reading the whole file to infer its types.
    Infer,
    /// Loading it.
    Load,
    /// Committing.
    Commit,
}

/// Is told how far a load is.
pub trait Progress: Sync {
    /// A phase begins, over `bytes` bytes of the file as it lies on disk.
    fn begin(&self, phase: Phase, bytes: u64);
    /// So many bytes and rows of the phase are done.
    fn advance(&self, bytes: u64, rows: u64);
}

/// Tells nobody.
impl Progress for () {
    fn begin(&self, _: Phase, _: u64) {}
    fn advance(&self, _: u64, _: u64) {}
}

/// What a load did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadReport {
    /// Rows loaded.
    pub rows: u64,
    /// Rows left out.
    pub rejected: u64,
    /// The first row left out.
    pub first_reject: Option<BadRow>,
    /// Where they were written.
    pub rejects_file: Option<PathBuf>,
    /// Whether the table was made.
    pub created: bool,
    /// The columns loaded, with their types.
    pub columns: Vec<(String, DataType)>,
    /// The dialect found or given.
    pub dialect: Dialect,
    /// Whether the file's first record names its columns.
    pub header: bool,
    /// What the user should know beside.
    pub notes: Vec<String>,
}

/// Loads the file at `path`. All or nothing: where an error is returned, neither the table nor a
/// row of the file is there.
///
/// # Errors
/// [`Error`] says where and why; [`Error::hint`] what to do.
pub fn load(
    database: &Database,
    path: &Path,
    options: &LoadOptions,
    progress: &dyn Progress,
) -> Result<LoadReport> {
    let source = Source::new(&options.files, path, options.encoding.as_deref())?;
    let pool = pool(options.parallel)?;
    let converter = Converter::new(&options.nulls);
    let existing = database.table(&options.table);
    let file = examine(&source, options, &converter, existing.as_deref())?;
    let mut session = database.session();
    session.begin()?;
    let created = existing.is_none();
    if created {
        create(
            &mut session,
            &source,
            options,
            &file,
            &converter,
            &pool,
            progress,
        )?;
    }
    let loader = session.bulk_loader(&options.table)?;
    let fields = match existing {
        Some(_) => existing_fields(loader.table(), &file)?,
        None => all_fields(loader.table()),
    };
    let mut rejects = match &options.on_error {
        OnError::Rejects(rejects) => {
            let rejects = rejects.clone().unwrap_or_else(|| rejects_name(path));
            Some(RejectsWriter::create(&options.files, &rejects)?)
        }
        OnError::Abort | OnError::Skip => None,
    };
    let reader = RowReader {
        dialect: file.dialect,
        converter,
        defaults: loader.default_row()?,
        fields,
    };
    let columns = reader
        .fields
        .iter()
        .map(|(_, name, data_type)| (name.clone(), *data_type))
        .collect();
    let mut sink = Sink {
        loader: &loader,
        path,
        keep_going: options.on_error != OnError::Abort,
        rejects: rejects.as_mut(),
        rejected: 0,
        first_reject: None,
    };
    transfer(&source, &file, &reader, options, &pool, progress, &mut sink)?;
    let (rejected, first_reject) = (sink.rejected, sink.first_reject);
    progress.begin(Phase::Commit, source.length());
    let rejects_file = rejects.map(RejectsWriter::finish).transpose()?;
    let rows = loader.finish()?;
    let known = database.estimated_rows(&options.table).unwrap_or(0);
    if rows > ANALYZE_THRESHOLD + known / ANALYZE_PART {
        session.analyze(Some(&options.table))?;
    }
    session.commit()?;
    progress.advance(source.length(), rows);
    let mut report = LoadReport {
        rows,
        rejected,
        first_reject,
        rejects_file,
        created,
        columns,
        dialect: file.dialect,
        header: file.first.is_header,
        notes: Vec::new(),
    };
    report.notes = notes(&report, &file, options);
    Ok(report)
}

/// What is known of a file before any type is.
struct File {
    dialect: Dialect,
    first: FirstRecord,
    /// The columns' names: given, from the header, or made up. `None` where the table decides.
    names: Option<Vec<String>>,
    fields: usize,
}

fn pool(parallel: usize) -> Result<ThreadPool> {
    // One thread more than parses: the one that hands rows to storage waits most of the time.
    let parsers = match parallel {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        parallel => parallel,
    };
    ThreadPoolBuilder::new()
        .num_threads(parsers + 1)
        .thread_name(|index| format!("load-{index}"))
        .build()
        .map_err(|error| Error::Schema {
            message: format!("cannot start {parsers} threads: {error}"),
            hint: "--parallel takes a smaller number".into(),
        })
}

fn examine(
    source: &Source,
    options: &LoadOptions,
    converter: &Converter,
    existing: Option<&Table>,
) -> Result<File> {
    let mut sample = Vec::with_capacity(SAMPLE_BYTES);
    let mut text = std::io::Read::take(source.open(Arc::default())?, SAMPLE_BYTES as u64);
    std::io::Read::read_to_end(&mut text, &mut sample).map_err(|error| source.read_error(error))?;
    let whole = sample.len() < SAMPLE_BYTES;
    let dialect = detect(&sample, whole, &options.dialect);
    let given: Option<Vec<String>> = options
        .schema
        .as_ref()
        .map(|specs| specs.iter().map(|spec| spec.name.clone()).collect());
    let expected = given.clone().or_else(|| {
        existing.map(|table| {
            table
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect()
        })
    });
    let is_null = |field: &[u8]| converter.is_null(field);
    let first = first_record(
        &sample,
        whole,
        dialect,
        &options.dialect,
        expected.as_deref(),
        is_null,
    );
    if first.names.is_empty() {
        return Err(Error::Empty {
            path: source.path().into(),
        });
    }
    let fields = first.names.len();
    let names = match given {
        Some(given) if given.len() != fields => {
            return Err(Error::Schema {
                message: format!(
                    "--schema names {} columns, the file has {fields}",
                    given.len()
                ),
                hint: "name every column of the file, and check the delimiter (--delimiter)".into(),
            });
        }
        Some(given) => Some(given),
        None if first.is_header => Some(first.names.clone()),
        None => None,
    };
    Ok(File {
        dialect,
        first,
        names,
        fields,
    })
}

fn existing_fields(table: &Table, file: &File) -> Result<Vec<(usize, String, DataType)>> {
    let names: Vec<String> = table
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    let targets = match_columns(&names, file.names.as_deref(), file.fields)?;
    Ok(targets
        .into_iter()
        .filter_map(|ordinal| table.columns.get(ordinal).map(|column| (ordinal, column)))
        .map(|(ordinal, column)| (ordinal, column.name.clone(), column.data_type))
        .collect())
}

/// Infers the types that are not given and makes the table.
fn create(
    session: &mut Session,
    source: &Source,
    options: &LoadOptions,
    file: &File,
    converter: &Converter,
    pool: &ThreadPool,
    progress: &dyn Progress,
) -> Result<()> {
    let mut specs = match &options.schema {
        Some(specs) => specs.clone(),
        None => {
            let empty = vec![String::new(); file.fields];
            column_names(file.names.as_deref().unwrap_or(&empty))
                .into_iter()
                .map(|name| ColumnSpec {
                    name,
                    type_name: None,
                    primary_key: false,
                })
                .collect()
        }
    };
    for spec in &mut specs {
        if options.schema.is_some() && spec.name == spec.name.to_uppercase() {
            spec.name = spec.name.to_lowercase();
        }
    }
    let types = if specs.iter().all(|spec| spec.type_name.is_some()) {
        vec![DataType::Text; specs.len()]
    } else {
        infer(source, file, converter, pool, progress)?
    };
    let columns: Vec<(ColumnSpec, DataType)> = specs.into_iter().zip(types).collect();
    let created = session.execute(&create_table(&options.table, &columns)?, ());
    created.map_err(|error| match error.state() {
        SqlState::TOO_MANY_COLUMNS => Error::Schema {
            message: format!("the file has {} columns: {error}", columns.len()),
            hint:
                "is the delimiter right (--delimiter)? cut the file into several tables otherwise"
                    .into(),
        },
        _ => error.into(),
    })?;
    Ok(())
}

/// Every column of a table that was made for the file.
fn all_fields(table: &Table) -> Vec<(usize, String, DataType)> {
    let columns = table.columns.iter().enumerate();
    columns
        .map(|(ordinal, column)| (ordinal, column.name.clone(), column.data_type))
        .collect()
}

/// The type of every column, from every value of the file.
fn infer(
    source: &Source,
    file: &File,
    converter: &Converter,
    pool: &ThreadPool,
    progress: &dyn Progress,
) -> Result<Vec<DataType>> {
    progress.begin(Phase::Infer, source.length());
    let (done, guesses) = bounded::<Vec<Guess>>(in_flight(pool));
    let consumed = Arc::new(AtomicU64::new(0));
    let mut chunks = ChunkReader::open(
        source,
        file.dialect,
        ChunkLimits::default(),
        Arc::clone(&consumed),
    )?;
    let mut merged = vec![Guess::default(); file.fields];
    let mut running = 0;
    let mut take = |guess: Vec<Guess>| {
        for (all, part) in merged.iter_mut().zip(guess) {
            all.merge(part);
        }
    };
    pool.in_place_scope(|scope| -> Result<()> {
        while let Some(chunk) = chunks.next()? {
            let records = chunk.first_record + chunk.records;
            let (done, skip_first) = (done.clone(), file.first.is_header);
            scope.spawn(move |_| {
                // The receiver outlives the scope.
                let _ = done.send(guess_chunk(&chunk, file, converter, skip_first));
            });
            running += 1;
            if running == in_flight(pool) {
                guesses.recv().into_iter().for_each(&mut take);
                running -= 1;
            }
            progress.advance(consumed.load(Ordering::Relaxed), records);
        }
        Ok(())
    })?;
    drop(done);
    guesses.into_iter().for_each(&mut take);
    Ok(merged.into_iter().map(Guess::data_type).collect())
}

fn guess_chunk(chunk: &Chunk, file: &File, converter: &Converter, skip_first: bool) -> Vec<Guess> {
    let mut guesses = vec![Guess::default(); file.fields];
    let mut fields = Fields::default();
    let (mut at, mut record) = (0, chunk.first_record);
    while at < chunk.text.len() {
        let read = fields.read(&chunk.text, at, file.dialect);
        at = read.next;
        if fields.len() == 1 && fields.get(&chunk.text, 0) == Some((b"", false)) {
            continue;
        }
        let is_header = record == 0 && skip_first;
        record += 1;
        // A record that will be refused says nothing about types.
        if is_header || read.malformed.is_some() || fields.len() != file.fields {
            continue;
        }
        for (index, guess) in guesses.iter_mut().enumerate() {
            if let Some((field, quoted)) = fields.get(&chunk.text, index)
                && (quoted || !converter.is_null(field))
            {
                guess.observe(field);
            }
        }
    }
    guesses
}

/// Chunks that may be between reader and storage at once.
fn in_flight(pool: &ThreadPool) -> usize {
    pool.current_num_threads() + 2
}

/// What a parser task hands on.
struct Parsed {
    sequence: u64,
    rows: Vec<Row>,
    bad: Vec<(BadRow, Vec<u8>)>,
    records: u64,
}

/// Moves the file's rows into the sink, in file order.
fn transfer(
    source: &Source,
    file: &File,
    reader: &RowReader,
    options: &LoadOptions,
    pool: &ThreadPool,
    progress: &dyn Progress,
    sink: &mut Sink<'_>,
) -> Result<()> {
    progress.begin(Phase::Load, source.length());
    let batch_size = if options.batch_size == 0 {
        BATCH_ROWS
    } else {
        options.batch_size
    };
    let limit = in_flight(pool);
    // A permit per chunk in flight: taken by the reader, given back when its rows are stored.
    let (give, permits) = bounded::<()>(limit);
    for _ in 0..limit {
        let _ = give.send(());
    }
    let (parsed, to_store) = bounded::<Parsed>(limit);
    let stopped = AtomicBool::new(false);
    let consumed = Arc::new(AtomicU64::new(0));
    let mut chunks = ChunkReader::open(
        source,
        file.dialect,
        ChunkLimits::default(),
        Arc::clone(&consumed),
    )?;
    let mut stored = Ok(());
    let stopped = &stopped;
    let read = pool.in_place_scope(|scope| {
        let stored = &mut stored;
        let counted = Arc::clone(&consumed);
        scope.spawn(move |_| {
            *stored = store(&to_store, &give, batch_size, sink, |rows| {
                progress.advance(counted.load(Ordering::Relaxed), rows);
            });
            // Without a store there is no use in reading on: dropping `give` tells the reader.
            stopped.store(stored.is_err(), Ordering::Relaxed);
        });
        read_chunks(
            scope,
            &mut chunks,
            &permits,
            parsed,
            reader,
            file.first.is_header,
            stopped,
        )
    });
    stored.and(read)
}

fn read_chunks<'scope>(
    scope: &rayon::Scope<'scope>,
    chunks: &mut ChunkReader,
    permits: &Receiver<()>,
    parsed: Sender<Parsed>,
    reader: &'scope RowReader,
    skip_first: bool,
    stopped: &'scope AtomicBool,
) -> Result<()> {
    let mut sequence = 0;
    while let Some(chunk) = chunks.next()? {
        if permits.recv().is_err() || stopped.load(Ordering::Relaxed) {
            break;
        }
        let parsed = parsed.clone();
        scope.spawn(move |_| {
            let (mut rows, mut bad) = (Vec::with_capacity(chunk.records as usize), Vec::new());
            let done: std::result::Result<(), std::convert::Infallible> =
                reader.read(&chunk, skip_first, |row| {
                    match row {
                        Ok(row) => rows.push(row),
                        Err((row, raw)) => bad.push((row, raw.to_vec())),
                    }
                    Ok(())
                });
            let Ok(()) = done;
            // Where the store has given up, nobody wants the rows.
            let _ = parsed.send(Parsed {
                sequence,
                rows,
                bad,
                records: chunk.first_record + chunk.records,
            });
        });
        sequence += 1;
    }
    Ok(())
}

/// Takes parsed chunks in file order to the sink.
fn store(
    parsed: &Receiver<Parsed>,
    give: &Sender<()>,
    batch_size: usize,
    sink: &mut Sink<'_>,
    advanced: impl Fn(u64),
) -> Result<()> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    while let Ok(chunk) = parsed.recv() {
        waiting.insert(chunk.sequence, chunk);
        while let Some(chunk) = waiting.remove(&next) {
            next += 1;
            sink.take(chunk.rows, chunk.bad, batch_size)?;
            advanced(chunk.records);
            // The reader may have finished.
            let _ = give.try_send(());
        }
    }
    Ok(())
}

/// Where rows go, and what happens to those that do not fit.
struct Sink<'a> {
    loader: &'a BulkLoader,
    path: &'a Path,
    keep_going: bool,
    rejects: Option<&'a mut RejectsWriter>,
    rejected: u64,
    first_reject: Option<BadRow>,
}

impl Sink<'_> {
    fn take(
        &mut self,
        rows: Vec<Row>,
        bad: Vec<(BadRow, Vec<u8>)>,
        batch_size: usize,
    ) -> Result<()> {
        let first_bad = bad
            .iter()
            .map(|(row, _)| row.line)
            .min()
            .unwrap_or(u64::MAX);
        if !self.keep_going
            && let Some((row, _)) = bad.first()
        {
            // The rows before it may hold an earlier violation of a constraint: it comes first.
            let before: Vec<Row> = rows
                .into_iter()
                .take_while(|row| row.line < first_bad)
                .collect();
            self.append(before, batch_size)?;
            return Err(Error::Row {
                path: self.path.into(),
                row: row.clone(),
            });
        }
        for (row, raw) in bad {
            self.reject(row, &raw)?;
        }
        self.append(rows, batch_size)
    }

    fn append(&mut self, rows: Vec<Row>, batch_size: usize) -> Result<()> {
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let (mut lines, mut values) = (Vec::new(), Vec::new());
            for row in rows.by_ref().take(batch_size) {
                lines.push(row.line);
                values.push(row.values);
            }
            let refused = if self.keep_going {
                self.loader.append_valid(values)?
            } else {
                self.loader
                    .append(values)
                    .map_err(|error| self.explain(error, &lines))?;
                Vec::new()
            };
            for RefusedRow { place, row, error } in refused {
                let line = lines.get(place).copied().unwrap_or_default();
                let raw = crate::rejects::record(&row);
                self.reject(
                    BadRow {
                        line,
                        column: None,
                        reason: Reason::Constraint(message(&error)),
                    },
                    &raw,
                )?;
            }
        }
        Ok(())
    }

    /// Names the lines of a batch whose rows the table refused.
    fn explain(&self, error: rustling_sql::Error, lines: &[u64]) -> Error {
        match (lines.first(), lines.last()) {
            (Some(first), Some(last)) => {
                let place = format!("{}, lines {first} to {last}", self.path.display());
                let detail = match error.detail_text() {
                    Some(detail) => format!("{detail} ({place})"),
                    None => place,
                };
                Error::Sql(error.detail(detail))
            }
            _ => Error::Sql(error),
        }
    }

    fn reject(&mut self, row: BadRow, raw: &[u8]) -> Result<()> {
        if let Some(rejects) = &mut self.rejects {
            rejects.write(&row, raw)?;
        }
        self.rejected += 1;
        self.first_reject.get_or_insert(row);
        Ok(())
    }
}

fn message(error: &rustling_sql::Error) -> String {
    match error.detail_text() {
        Some(detail) => format!("{}: {detail}", error.message()),
        None => error.message().to_string(),
    }
}

fn rejects_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".rejects.csv");
    name.into()
}

fn notes(report: &LoadReport, file: &File, options: &LoadOptions) -> Vec<String> {
    let mut notes = Vec::new();
    if report.created && options.schema.is_none() {
        let columns: Vec<String> = report
            .columns
            .iter()
            .map(|(name, data_type)| format!("{name} {data_type}"))
            .collect();
        notes.push(columns.join(", "));
        if let Some(header) = &file.names {
            let renamed = header
                .iter()
                .zip(&report.columns)
                .find(|(given, (name, _))| given.trim() != name);
            if let Some((given, (name, _))) = renamed {
                notes.push(format!(
                    "column names are set for SQL, for example {given:?} as {name}"
                ));
            }
        }
    }
    if options.dialect.delimiter.is_none() && report.dialect.delimiter != b',' {
        notes.push(format!(
            "the delimiter is {:?}",
            char::from(report.dialect.delimiter)
        ));
    }
    if options.dialect.header.is_none() && !report.header {
        notes.push("the first line is taken as a row (--header true takes it as names)".into());
    }
    if report.rejected > 0 {
        let rows = if report.rejected == 1 {
            "row does"
        } else {
            "rows do"
        };
        let mut note = format!("{} {rows} not fit", report.rejected);
        if let Some(first) = &report.first_reject {
            note.push_str(&format!("; the first: {first}"));
        }
        if let Some(file) = &report.rejects_file {
            note.push_str(&format!("; all of them: {}", file.display()));
        }
        notes.push(note);
    }
    notes
}
