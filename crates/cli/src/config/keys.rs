//! Every key of the configuration.

/// What a key's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Truth,
    /// A whole number.
    Count,
    /// A number of bytes: `64MiB`.
    Bytes,
    /// A time: `10s`.
    Time,
    /// Any text: a file, a directory.
    Text,
    /// An address with a port.
    Address,
    /// Several addresses.
    Addresses,
    /// Several texts.
    Texts,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// A key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Its name: the table and the key in it.
    pub(crate) name: &'static str,
    /// What its value is.
    pub(crate) kind: Kind,
    /// Its value where nobody sets it, as it stands in a file; empty: none.
    pub(crate) default: &'static str,
    /// What it is for.
    pub(crate) help: &'static str,
}

impl Key {
    /// The environment variable that sets it.
    pub(crate) fn variable(&self) -> String {
        format!(
            "RUSTLING_{}",
            self.name.replace('.', "_").to_ascii_uppercase()
        )
    }
}

macro_rules! keys {
    ($($name:literal: $kind:expr, $default:literal, $help:literal;)*) => {
        &[$(Key { name: $name, kind: $kind, default: $default, help: $help },)*]
    };
}

/// The keys, a table's beside each other.
pub(crate) const KEYS: &[Key] = keys! {
    "memory.limit": Kind::Bytes, "256MiB",
        "Memory for cached pages, memtables, changes of transactions and what statements compute.";
    "storage.page_size": Kind::Bytes, "8KiB",
        "Bytes of a page of a new database: 4KiB, 8KiB or 16KiB.";
    "storage.compression": Kind::Word(&["none", "lz4", "zstd"]), "none",
        "How pages and tables are compressed from now on; what is there stays readable.";
    "storage.direct_io": Kind::Truth, "false",
        "Whether pages, and blocks of tables that are read, pass by the system's cache.";
    "storage.huge_pages": Kind::Truth, "false",
        "Whether cached pages lie in huge pages, as far as the system has them.";
    "storage.table_reads": Kind::Word(&["positional", "mapped"]), "positional",
        "How tables of LSM and hybrid storage are read: by a system call each, or from a map in memory.";
    "wal.segment": Kind::Bytes, "16MiB", "Bytes of a segment of the log.";
    "wal.kept_segments": Kind::Count, "0",
        "Segments that are kept after a checkpoint has made them superfluous.";
    "wal.io_uring": Kind::Truth, "false",
        "Whether a flush of the log is one system call with the write before it, by io_uring (feature io_uring).";
    "wal.compress_above": Kind::Bytes, "8KiB",
        "Bytes above which a commit is compressed in the log.";
    "wal.async_flush": Kind::Time, "10ms",
        "After how long a commit with synchronous_commit off is on disk at the latest.";
    "checkpoint.wal": Kind::Bytes, "16MiB", "Bytes of log after which a checkpoint begins.";
    "checkpoint.interval": Kind::Time, "60s",
        "How long after the last one a checkpoint begins at the latest.";
    "load.parallel": Kind::Count, "0", "Parser threads of a load; 0: one per processor.";
    "load.batch_size": Kind::Count, "0", "Rows that a load stores at once; 0: as suits it.";
    "server.listen": Kind::Addresses, "[]", "TCP addresses to listen on.";
    "server.socket": Kind::Text, "",
        "The directory of the Unix socket; none: that of the database.";
    "server.unix_socket": Kind::Truth, "true", "Whether there is a Unix socket.";
    "server.reuse_port": Kind::Truth, "false",
        "Whether other processes may listen on the same addresses.";
    "server.rules": Kind::Text, "",
        "The file that says who may connect from where, in the form of pg_hba.conf.";
    "server.trust": Kind::Truth, "false",
        "Whether everybody may connect without a password.";
    "server.certificate": Kind::Text, "", "The certificate chain for TLS, in PEM.";
    "server.key": Kind::Text, "", "The certificate's private key, in PEM.";
    "server.require_tls": Kind::Truth, "false", "Whether TCP connections must use TLS.";
    "server.file_directories": Kind::Texts, "[]",
        "Directories in which COPY may read and write files for clients.";
    "server.connections": Kind::Count, "5000", "Connections at a time.";
    "server.threads": Kind::Count, "0", "Threads that serve connections; 0: one per processor.";
    "server.startup_time": Kind::Time, "10s", "Time to prove who one is.";
    "server.message": Kind::Bytes, "64MiB", "Bytes of a message.";
    "server.statement_time": Kind::Time, "0s",
        "Time of a statement, where the session does not say otherwise; 0s: as long as it takes.";
    "server.idle_transaction_time": Kind::Time, "0s",
        "Time that a session may rest within a transaction; 0s: as long as it likes.";
    "server.session_memory": Kind::Bytes, "0B",
        "Memory of what one session's statements compute; 0B: all that there is.";
    "server.shutdown_time": Kind::Time, "30s",
        "Time that sessions have to end when the server is asked to.";
    "server.metrics": Kind::Address, "",
        "The address on which Prometheus reads figures over HTTP.";
    "log.level": Kind::Word(&["off", "error", "warn", "info", "debug", "trace"]), "info",
        "What the server logs.";
    "log.format": Kind::Word(&["text", "json"]), "text", "How the server logs.";
    "log.file": Kind::Text, "", "The file that the server logs to; none: standard error.";
    "log.slow_statement": Kind::Time, "",
        "Statements that take longer are logged; none: no statement is.";
};

/// The key of that name.
pub(crate) fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key whose name is most like this one.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    KEYS.iter()
        .map(|key| (strsim::damerau_levenshtein(key.name, name), key.name))
        .min()
        .filter(|(distance, _)| *distance <= 4)
        .map(|(_, name)| name)
}
