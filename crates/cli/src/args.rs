//! The command line, as clap sees it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{config::parse_bytes, output::Format};

/// A relational database that lives inside a program.
///
/// Without a command, opens the shell; from a pipe it reads statements from standard input.
#[derive(Debug, Parser)]
#[command(
    name = "rustling",
    version,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  rustling my.db                                        the shell on my.db\n  \
                  rustling load flights.csv --table flights --db my.db\n  \
                  rustling query \"SELECT count(*) FROM flights\" --db my.db"
)]
pub(crate) struct Arguments {
    /// The database directory to open the shell on; created when missing.
    #[arg(value_name = "DATABASE")]
    pub(crate) database: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) common: Common,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    /// The database directory.
    #[arg(
        long,
        global = true,
        env = "RUSTLING_DB",
        value_name = "DIR",
        default_value = "./rustling.db"
    )]
    pub(crate) db: PathBuf,

    /// How rows are written.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,

    /// The configuration's file; default: rustling.toml in the database's directory.
    #[arg(long, global = true, env = "RUSTLING_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Memory for the page cache and for statements, for example 256MiB.
    #[arg(long, global = true, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) memory: Option<usize>,
}

impl Arguments {
    /// The database directory: as the command names it, or before it, or by the option.
    pub(crate) fn path(&self) -> &Path {
        let place = match &self.command {
            Some(
                Command::Shell(place)
                | Command::Config(place)
                | Command::Check(place)
                | Command::Stats(place),
            ) => Some(place),
            Some(Command::Serve(serve)) => Some(&serve.place),
            _ => None,
        };
        let named = place.and_then(|place| place.database.as_deref());
        named
            .or(self.database.as_deref())
            .unwrap_or(&self.common.db)
    }
}

/// The database, of a command whose only subject it is.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// The database directory; the same as --db.
    #[arg(value_name = "DATABASE")]
    pub(crate) database: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Open the shell.
    #[command(after_help = "Example:\n  rustling shell my.db")]
    Shell(Place),
    /// Load a CSV file into a table, which is created when missing.
    #[command(
        after_help = "Examples:\n  rustling load flights.csv.gz --table flights\n  \
                      rustling load pairs.csv --table kv --schema KEY VALUE\n  \
                      rustling load dirty.csv --table t --on-error rejects"
    )]
    Load(Load),
    /// Run SQL and write the rows.
    #[command(after_help = "Examples:\n  rustling query \"SELECT 1 + 1\"\n  \
                      rustling query \"SELECT * FROM flights LIMIT 10\" --format csv")]
    Query {
        /// One statement, or several separated by semicolons; `-` reads standard input.
        sql: String,
    },
    /// Show how a statement would be run.
    #[command(
        after_help = "Example:\n  rustling explain \"SELECT * FROM flights WHERE carrier = 'UA'\" --analyze"
    )]
    Explain {
        /// The statement.
        sql: String,
        /// Run it, and add rows, time and memory of every step.
        #[arg(long)]
        analyze: bool,
    },
    /// Collect a table's statistics for the planner.
    #[command(after_help = "Example:\n  rustling analyze flights")]
    Analyze {
        /// The table; none: every table.
        table: Option<String>,
    },
    /// Set a key of a key-value table (an SQL table with the columns key and value).
    #[command(
        alias = "insert",
        after_help = "Example:\n  rustling put greeting hello"
    )]
    Put {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        #[command(flatten)]
        target: KeyValueTable,
    },
    /// Write a key's value.
    #[command(after_help = "Example:\n  rustling get greeting")]
    Get {
        /// The key.
        key: String,
        #[command(flatten)]
        target: KeyValueTable,
    },
    /// Remove a key.
    #[command(after_help = "Example:\n  rustling delete greeting")]
    Delete {
        /// The key.
        key: String,
        #[command(flatten)]
        target: KeyValueTable,
    },
    /// Write keys and values in key order.
    #[command(after_help = "Example:\n  rustling scan --prefix user: --limit 10")]
    Scan {
        /// Only keys that begin so.
        #[arg(long)]
        prefix: Option<String>,
        /// Only keys from here on.
        #[arg(long, value_name = "KEY")]
        from: Option<String>,
        /// Only keys before this one.
        #[arg(long, value_name = "KEY")]
        to: Option<String>,
        /// At most so many.
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
        /// Last key first.
        #[arg(long)]
        reverse: bool,
        #[command(flatten)]
        target: KeyValueTable,
    },
    /// Serve the database to PostgreSQL's clients until the process is asked to end.
    #[command(
        after_help = "Examples:\n  rustling serve my.db --listen 127.0.0.1:5432\n  \
                      rustling serve my.db               (only over the socket in my.db)"
    )]
    Serve(Serve),
    /// Say who may connect to the server, with a password that is read from standard input.
    #[command(
        subcommand,
        after_help = "Example:\n  rustling user add ann --db my.db"
    )]
    User(User),
    /// Apply the steps that make the schema, each once, from the files of a directory.
    #[command(
        after_help = "Examples:\n  rustling migrate new add_email\n  rustling migrate up --db my.db\n  \
                      rustling migrate status --db my.db"
    )]
    Migrate {
        /// The directory of the migrations: 0001_name.sql, or 0001_name.up.sql with
        /// 0001_name.down.sql.
        #[arg(long, global = true, value_name = "DIR", default_value = "migrations")]
        dir: PathBuf,
        #[command(subcommand)]
        command: Migrate,
    },
    /// Show the configuration that is in force, with where each value comes from.
    #[command(after_help = "Example:\n  rustling config my.db > my.db/rustling.toml")]
    Config(Place),
    /// Verify every byte of the database.
    #[command(after_help = "Example:\n  rustling check my.db")]
    Check(Place),
    /// Show sizes, cache and log figures.
    #[command(after_help = "Example:\n  rustling stats my.db")]
    Stats(Place),
}

/// `rustling serve`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) place: Place,
    /// A TCP address to listen on; may be given several times. None: only the Unix socket.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Vec<SocketAddr>,
    /// The directory of the Unix socket; default: the database's.
    #[arg(long, value_name = "DIR")]
    pub(crate) socket: Option<PathBuf>,
    /// No Unix socket.
    #[arg(long)]
    pub(crate) no_socket: bool,
    /// Let everybody in without a password: only where nobody else can reach the server.
    #[arg(long)]
    pub(crate) trust: bool,
    /// The certificate chain for TLS, in PEM.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) certificate: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,
    /// Refuse TCP connections without TLS.
    #[arg(long)]
    pub(crate) require_tls: bool,
    /// The file that says who may connect from where, in the form of pg_hba.conf.
    #[arg(long, value_name = "FILE", conflicts_with = "trust")]
    pub(crate) rules: Option<PathBuf>,
    /// Connections at a time.
    #[arg(long, value_name = "N")]
    pub(crate) connections: Option<usize>,
    /// The address on which Prometheus reads figures over HTTP (/metrics).
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) metrics: Option<SocketAddr>,
}

/// `rustling user`.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum User {
    /// Add a user, or change the password of one.
    #[command(after_help = "Example:\n  rustling user add ann --db my.db")]
    Add {
        /// The name.
        name: String,
        /// May do everything. Others may do what GRANT says.
        #[arg(long)]
        superuser: bool,
    },
    /// Remove a user.
    #[command(after_help = "Example:\n  rustling user remove ann --db my.db")]
    Remove {
        /// The name.
        name: String,
    },
    /// List the users.
    #[command(after_help = "Example:\n  rustling user list --db my.db")]
    List,
}

/// `rustling migrate`.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Migrate {
    /// Make the file of a new migration.
    New {
        /// What it does, for example add_email.
        name: String,
        /// Make a second file, for the way back.
        #[arg(long)]
        reversible: bool,
    },
    /// Apply what has not been applied yet; makes the database where there is none.
    Up,
    /// Take back the newest.
    Down {
        /// How many.
        #[arg(default_value_t = 1)]
        count: usize,
    },
    /// Show which are applied.
    Status,
    /// Fail where some are not applied, or the database is not what they make.
    Check,
}

/// Which key-value table.
#[derive(Clone, Debug, Args)]
pub(crate) struct KeyValueTable {
    /// The table.
    #[arg(long, default_value = "kv")]
    pub(crate) table: String,
}

/// `rustling load`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Load {
    /// The file: .csv, .tsv, also compressed as .gz or .zst.
    pub(crate) file: PathBuf,
    /// The table to load into.
    #[arg(long)]
    pub(crate) table: String,
    /// Parser threads; default: one per processor.
    #[arg(long, value_name = "N")]
    pub(crate) parallel: Option<usize>,
    /// Rows that go to storage at once.
    #[arg(long, value_name = "N")]
    pub(crate) batch_size: Option<usize>,
    /// Column names in file order, each perhaps with a type (`id:bigint`). `KEY VALUE` makes a
    /// key-value table.
    #[arg(long, value_name = "COLUMN", num_args = 1..)]
    pub(crate) schema: Vec<String>,
    /// The field delimiter; default: found out.
    #[arg(long, value_name = "CHAR", value_parser = parse_char)]
    pub(crate) delimiter: Option<u8>,
    /// The quote character; default: found out.
    #[arg(long, value_name = "CHAR", value_parser = parse_char)]
    pub(crate) quote: Option<u8>,
    /// Whether the first line names the columns; default: found out.
    #[arg(long, value_name = "BOOL")]
    pub(crate) header: Option<bool>,
    /// Texts that mean NULL; default: NA and the empty field.
    #[arg(long, value_name = "TEXT")]
    pub(crate) null: Vec<String>,
    /// The file's encoding, for example latin1; default: UTF-8, checked.
    #[arg(long, value_name = "NAME")]
    pub(crate) encoding: Option<String>,
    /// What to do with a row that does not fit.
    #[arg(long, value_enum, default_value_t = OnError::Abort)]
    pub(crate) on_error: OnError,
    /// Where rejected rows go; default: the file's name with `.rejects.csv`.
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
}

/// What happens to a row that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnError {
    /// Stop; nothing is loaded.
    Abort,
    /// Leave the row out and count it.
    Skip,
    /// Leave the row out and write it, with line, column and reason, to a file.
    Rejects,
}

/// A single byte: a character, or `\t` and `tab` for the tabulator.
fn parse_char(text: &str) -> Result<u8, String> {
    match text {
        "\\t" | "tab" => Ok(b'\t'),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii() => Ok(*byte),
            _ => Err("one ASCII character is wanted (or \\t)".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Arguments, parse_char};
    use crate::config::parse_bytes;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_database_may_stand_before_or_after_the_command() {
        let after = Arguments::parse_from(["rustling", "stats", "--db", "a.db"]);
        let before = Arguments::parse_from(["rustling", "--db", "a.db", "stats"]);
        assert_eq!(after.path(), before.path());
        assert_eq!(after.path().to_str(), Some("a.db"));
    }

    #[test]
    fn a_command_on_the_database_alone_takes_its_directory() {
        for command in ["shell", "serve", "config", "check", "stats"] {
            let named = Arguments::parse_from(["rustling", command, "a.db"]);
            assert_eq!(named.path().to_str(), Some("a.db"), "{command}");
            let before = Arguments::parse_from(["rustling", "--db", "b.db", command, "a.db"]);
            assert_eq!(before.path().to_str(), Some("a.db"), "{command}");
            let by_option = Arguments::parse_from(["rustling", command, "--db", "a.db"]);
            assert_eq!(by_option.path().to_str(), Some("a.db"), "{command}");
        }
        let serve = ["rustling", "serve", "a.db", "--listen", "127.0.0.1:5432"];
        assert_eq!(Arguments::parse_from(serve).path().to_str(), Some("a.db"));
    }

    #[test]
    fn a_bare_path_opens_the_shell() {
        let arguments = Arguments::parse_from(["rustling", "my.db"]);
        assert_eq!(arguments.path().to_str(), Some("my.db"));
        assert!(arguments.command.is_none());
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Arguments::command().get_subcommands() {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                help.contains("rustling "),
                "{} has no example",
                command.get_name()
            );
        }
    }

    #[test]
    fn bytes_and_characters() {
        assert_eq!(parse_bytes("64k"), Ok(65_536));
        assert_eq!(parse_bytes("256MiB"), Ok(268_435_456));
        assert!(parse_bytes("12 parsecs").is_err());
        assert_eq!(parse_char("\\t"), Ok(b'\t'));
        assert!(parse_char("ab").is_err());
    }
}
