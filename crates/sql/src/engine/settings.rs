//! A session's settings: SET and SHOW.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rustling_storage::Durability;

use crate::{
    Error, Result, SqlState, Value,
    bound::{IsolationLevel, TransactionModes},
    planner::choose_executor::ExecutorSetting,
    types::{IntervalStyle, TextStyle, TimeZone},
};

/// What a session can be told with SET.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) statement_timeout: Duration,
    pub(crate) lock_timeout: Duration,
    pub(crate) isolation: IsolationLevel,
    pub(crate) read_only: bool,
    pub(crate) deferrable: bool,
    pub(crate) durability: Durability,
    pub(crate) double_quoted_strings: bool,
    pub(crate) executor: ExecutorSetting,
    pub(crate) optimizer: bool,
    pub(crate) style: TextStyle,
    pub(crate) time_zone_name: String,
    pub(crate) application_name: String,
    /// What RESET goes back to, where the client has asked for other values than the program's.
    reset: Option<Box<Settings>>,
    /// Settings of PostgreSQL's that change nothing here, as they were set.
    inert: BTreeMap<&'static str, String>,
    /// The schemas in which unqualified names are looked up, in order; that of the session's
    /// temporary objects first.
    pub(crate) search_path: Arc<Vec<String>>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            statement_timeout: Duration::ZERO,
            lock_timeout: Duration::ZERO,
            isolation: IsolationLevel::ReadCommitted,
            read_only: false,
            deferrable: false,
            durability: Durability::Sync,
            double_quoted_strings: false,
            executor: ExecutorSetting::Auto,
            optimizer: true,
            style: TextStyle::DEFAULT,
            time_zone_name: "UTC".to_owned(),
            application_name: String::new(),
            reset: None,
            inert: BTreeMap::new(),
            search_path: Arc::new(vec!["public".to_owned()]),
        }
    }
}

/// Every setting with what it is for, in the order of SHOW ALL.
const DESCRIPTIONS: &[(&str, &str)] = &[
    ("application_name", "Sets the application name."),
    ("bytea_output", "How byte strings are shown: hex or escape."),
    ("client_encoding", "The encoding of text (always UTF8)."),
    (
        "datestyle",
        "How dates are shown (ISO, SQL, Postgres, German) and read (MDY, DMY, YMD).",
    ),
    (
        "default_transaction_deferrable",
        "Whether new serializable read-only transactions wait for a safe snapshot.",
    ),
    (
        "default_transaction_isolation",
        "Isolation level of new transactions.",
    ),
    (
        "default_transaction_read_only",
        "Whether new transactions are read-only.",
    ),
    (
        "double_quoted_strings",
        "Whether \"x\" is the string 'x' where no column is called x.",
    ),
    ("durability", "When a commit answers: sync, async or none."),
    (
        "executor",
        "Which executor runs queries: auto, row or vector.",
    ),
    (
        "extra_float_digits",
        "Digits of floats beyond those that are always exact; 1 to 3: the shortest exact form.",
    ),
    (
        "intervalstyle",
        "How intervals are shown: postgres, postgres_verbose, sql_standard, iso_8601.",
    ),
    (
        "lock_timeout",
        "How long a lock is waited for; 0: until it is free.",
    ),
    (
        "optimizer",
        "Whether plans are rewritten before they run: on, or off to compare.",
    ),
    (
        "search_path",
        "The schemas in which unqualified names are looked up.",
    ),
    (
        "server_encoding",
        "The encoding of stored text (always UTF8).",
    ),
    (
        "server_version",
        "The PostgreSQL release whose dialect this is, and the version of this program.",
    ),
    (
        "server_version_num",
        "The version of PostgreSQL whose dialect this is, as a number.",
    ),
    (
        "standard_conforming_strings",
        "Whether '\\' is an ordinary character (always on).",
    ),
    (
        "statement_timeout",
        "How long a statement may take; 0: as long as it does.",
    ),
    (
        "synchronous_commit",
        "Whether a commit waits for the disk: on or off.",
    ),
    ("timezone", "The time zone of timestamps with time zone."),
    (
        "transaction_deferrable",
        "Whether the current transaction waits for a safe snapshot.",
    ),
    (
        "transaction_isolation",
        "Isolation level of the current transaction.",
    ),
    (
        "transaction_read_only",
        "Whether the current transaction is read-only.",
    ),
];

/// What clients of PostgreSQL ask a server about itself, and nobody can set.
const PRESETS: &[(&str, &str)] = &[
    ("block_size", "8192"),
    ("integer_datetimes", "on"),
    ("lc_collate", "C"),
    ("lc_ctype", "C.UTF-8"),
    ("max_function_args", "100"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
];

/// Settings of PostgreSQL's that clients and dumps set and that change nothing here, with
/// PostgreSQL's defaults. They are remembered, and shown by name.
const INERT: &[(&str, &str)] = &[
    ("check_function_bodies", "on"),
    ("client_min_messages", "notice"),
    ("constraint_exclusion", "partition"),
    ("cpu_index_tuple_cost", "0.005"),
    ("cpu_operator_cost", "0.0025"),
    ("cpu_tuple_cost", "0.01"),
    ("cursor_tuple_fraction", "0.1"),
    ("default_statistics_target", "100"),
    ("default_table_access_method", "heap"),
    ("default_tablespace", ""),
    ("effective_cache_size", "4GB"),
    ("enable_async_append", "on"),
    ("enable_bitmapscan", "on"),
    ("enable_gathermerge", "on"),
    ("enable_hashagg", "on"),
    ("enable_hashjoin", "on"),
    ("enable_incremental_sort", "on"),
    ("enable_indexonlyscan", "on"),
    ("enable_indexscan", "on"),
    ("enable_material", "on"),
    ("enable_memoize", "on"),
    ("enable_mergejoin", "on"),
    ("enable_nestloop", "on"),
    ("enable_parallel_append", "on"),
    ("enable_parallel_hash", "on"),
    ("enable_partition_pruning", "on"),
    ("enable_partitionwise_aggregate", "off"),
    ("enable_partitionwise_join", "off"),
    ("enable_seqscan", "on"),
    ("enable_sort", "on"),
    ("enable_tidscan", "on"),
    ("escape_string_warning", "on"),
    ("force_parallel_mode", "off"),
    ("from_collapse_limit", "8"),
    ("geqo", "on"),
    ("hash_mem_multiplier", "2"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("jit", "on"),
    ("jit_above_cost", "100000"),
    ("join_collapse_limit", "8"),
    ("lc_messages", "C"),
    ("lc_monetary", "C"),
    ("lc_numeric", "C"),
    ("lc_time", "C"),
    ("maintenance_work_mem", "64MB"),
    ("max_parallel_maintenance_workers", "2"),
    ("max_parallel_workers", "8"),
    ("max_parallel_workers_per_gather", "2"),
    ("min_parallel_index_scan_size", "512kB"),
    ("min_parallel_table_scan_size", "8MB"),
    ("parallel_leader_participation", "on"),
    ("parallel_setup_cost", "1000"),
    ("parallel_tuple_cost", "0.1"),
    ("plan_cache_mode", "auto"),
    ("random_page_cost", "4"),
    ("restrict_nonsystem_relation_kind", ""),
    ("row_security", "on"),
    ("seq_page_cost", "1"),
    ("temp_buffers", "8MB"),
    ("work_mem", "4MB"),
    ("xmloption", "content"),
];

/// The name by which a setting is known: some have two.
fn canonical(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "time zone" | "time_zone" => "timezone".to_owned(),
        "transaction isolation level" => "transaction_isolation".to_owned(),
        _ => name,
    }
}

fn unknown(name: &str) -> Error {
    let error = Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    );
    let near = DESCRIPTIONS
        .iter()
        .map(|(known, _)| (strsim::damerau_levenshtein(known, name), known))
        .min();
    match near {
        Some((distance, known)) if distance <= 3 => {
            error.hint(format!("Perhaps you meant \"{known}\"."))
        }
        _ => error.hint("SHOW ALL lists the settings."),
    }
}

fn invalid(name: &str, value: &str, allowed: &str) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid value for parameter \"{name}\": \"{value}\""),
    )
    .hint(format!("Available values: {allowed}."))
}

fn parse_bool(name: &str, text: &str) -> Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" | "t" => Ok(true),
        "off" | "false" | "no" | "0" | "f" => Ok(false),
        _ => Err(invalid(name, text, "on, off")),
    }
}

/// A time with a unit; without one, milliseconds.
fn parse_time(name: &str, text: &str) -> Result<Duration> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let error = || {
        invalid(
            name,
            text,
            "a number of milliseconds, or with a unit: us, ms, s, min, h, d",
        )
    };
    let number: f64 = number.parse().map_err(|_| error())?;
    let seconds = match unit.trim() {
        "" | "ms" => number / 1e3,
        "us" => number / 1e6,
        "s" => number,
        "min" => number * 60.0,
        "h" => number * 3600.0,
        "d" => number * 86_400.0,
        _ => return Err(error()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| error())
}

fn show_time(time: Duration) -> String {
    let micros = time.as_micros();
    for (unit, size) in [
        ("d", 86_400_000_000),
        ("h", 3_600_000_000),
        ("min", 60_000_000),
        ("s", 1_000_000),
        ("ms", 1000),
    ] {
        if micros > 0 && micros.is_multiple_of(size) {
            return format!("{}{unit}", micros / size);
        }
    }
    if micros == 0 {
        "0".to_owned()
    } else {
        format!("{micros}us")
    }
}

/// A list of schemas. `"$user"` stands for a schema that nobody has here.
fn parse_path(text: &str) -> Vec<String> {
    text.split(',')
        .map(|part| part.trim().trim_matches('"').to_owned())
        .filter(|part| !part.is_empty() && part != "$user")
        .collect()
}

fn shown_path(path: &[String]) -> String {
    let shown: Vec<&str> = path
        .iter()
        .map(String::as_str)
        .filter(|schema| !schema.starts_with(super::temporary::PREFIX))
        .collect();
    shown.join(", ")
}

/// An isolation level as SHOW prints it.
pub(crate) fn isolation_name(level: IsolationLevel) -> &'static str {
    match level {
        IsolationLevel::ReadUncommitted => "read uncommitted",
        IsolationLevel::ReadCommitted => "read committed",
        IsolationLevel::RepeatableRead => "repeatable read",
        IsolationLevel::Snapshot => "snapshot",
        IsolationLevel::Serializable => "serializable",
    }
}

fn parse_isolation(name: &str, text: &str) -> Result<IsolationLevel> {
    [
        IsolationLevel::ReadUncommitted,
        IsolationLevel::ReadCommitted,
        IsolationLevel::RepeatableRead,
        IsolationLevel::Snapshot,
        IsolationLevel::Serializable,
    ]
    .into_iter()
    .find(|level| isolation_name(*level).eq_ignore_ascii_case(text.trim()))
    .ok_or_else(|| {
        invalid(
            name,
            text,
            "read uncommitted, read committed, repeatable read, snapshot, serializable",
        )
    })
}

impl Settings {
    /// SET name = value; without a value, back to the default.
    pub(crate) fn set(&mut self, name: &str, value: Option<&Value>) -> Result<()> {
        let name = canonical(name);
        let text = match (value, &self.reset) {
            (Some(value), _) => value.to_string(),
            (None, Some(reset)) => reset.show(&name)?,
            (None, None) => Settings::default().show(&name)?,
        };
        if let Some((known, _)) = INERT.iter().find(|(known, _)| *known == name) {
            self.inert.insert(known, text);
            return Ok(());
        }
        match name.as_str() {
            "statement_timeout" => self.statement_timeout = parse_time(&name, &text)?,
            "lock_timeout" => self.lock_timeout = parse_time(&name, &text)?,
            "default_transaction_deferrable" => self.deferrable = parse_bool(&name, &text)?,
            "default_transaction_isolation" => self.isolation = parse_isolation(&name, &text)?,
            "default_transaction_read_only" => self.read_only = parse_bool(&name, &text)?,
            "double_quoted_strings" => self.double_quoted_strings = parse_bool(&name, &text)?,
            "durability" => {
                self.durability = match text.to_ascii_lowercase().as_str() {
                    "sync" => Durability::Sync,
                    "async" => Durability::Async,
                    "none" => Durability::None,
                    _ => return Err(invalid(&name, &text, "sync, async, none")),
                }
            }
            "synchronous_commit" => {
                self.durability = if parse_bool(&name, &text)? {
                    Durability::Sync
                } else {
                    Durability::Async
                };
            }
            "executor" => {
                self.executor = match text.to_ascii_lowercase().as_str() {
                    "auto" => ExecutorSetting::Auto,
                    "row" => ExecutorSetting::Row,
                    "vector" => ExecutorSetting::Vector,
                    _ => return Err(invalid(&name, &text, "auto, row, vector")),
                }
            }
            "optimizer" => self.optimizer = parse_bool(&name, &text)?,
            "datestyle" => {
                self.style.date = self.style.date.changed_by(&text).ok_or_else(|| {
                    invalid(&name, &text, "ISO, SQL, Postgres, German; MDY, DMY, YMD")
                })?;
            }
            "intervalstyle" => {
                self.style.interval = IntervalStyle::named(&text).ok_or_else(|| {
                    invalid(
                        &name,
                        &text,
                        "postgres, postgres_verbose, sql_standard, iso_8601",
                    )
                })?;
            }
            "extra_float_digits" => {
                self.style.extra_float_digits = text
                    .trim()
                    .parse()
                    .ok()
                    .filter(|digits| (-15..=3).contains(digits))
                    .ok_or_else(|| invalid(&name, &text, "-15 to 3"))?;
            }
            "bytea_output" => {
                self.style.bytea_escape = match text.to_ascii_lowercase().as_str() {
                    "hex" => false,
                    "escape" => true,
                    _ => return Err(invalid(&name, &text, "hex, escape")),
                }
            }
            "timezone" => {
                self.style.time_zone = TimeZone::named(&text)?;
                self.time_zone_name = text;
            }
            "application_name" => self.application_name = text,
            "search_path" => self.search_path = Arc::new(parse_path(&text)),
            _ => {
                let fixed = self.show(&name)?;
                // Clients set some of these to what they are anyway.
                if !fixed
                    .replace(' ', "")
                    .eq_ignore_ascii_case(&text.replace([' ', '"', '-'], ""))
                    && value.is_some()
                {
                    return Err(Error::new(
                        SqlState("55P02"),
                        format!("parameter \"{name}\" cannot be changed"),
                    )
                    .detail(format!("Its value is \"{fixed}\".")));
                }
            }
        }
        Ok(())
    }

    /// SET SESSION CHARACTERISTICS AS TRANSACTION.
    pub(crate) fn set_modes(&mut self, modes: TransactionModes) {
        self.isolation = modes.isolation.unwrap_or(self.isolation);
        self.read_only = modes.read_only.unwrap_or(self.read_only);
        self.deferrable = modes.deferrable.unwrap_or(self.deferrable);
    }

    /// As [`Settings::set`], also for what RESET goes back to.
    pub(crate) fn set_default(&mut self, name: &str, value: &Value) -> Result<()> {
        self.set(name, Some(value))?;
        self.reset
            .get_or_insert_with(Box::default)
            .set(name, Some(value))
    }

    /// What RESET ALL makes of them: as they were when the session began.
    pub(crate) fn at_first(&self) -> Settings {
        let first = self.reset.as_deref().cloned().unwrap_or_default();
        Settings {
            reset: self.reset.clone(),
            ..first
        }
    }

    /// SHOW name.
    pub(crate) fn show(&self, name: &str) -> Result<String> {
        let name = canonical(name);
        Ok(match name.as_str() {
            "application_name" => self.application_name.clone(),
            "client_encoding" | "server_encoding" => "UTF8".to_owned(),
            "bytea_output" => (if self.style.bytea_escape {
                "escape"
            } else {
                "hex"
            })
            .to_owned(),
            "datestyle" => self.style.date.to_string(),
            "default_transaction_deferrable" | "transaction_deferrable" => on_off(self.deferrable),
            "default_transaction_isolation" | "transaction_isolation" => {
                isolation_name(self.isolation).to_owned()
            }
            "default_transaction_read_only" | "transaction_read_only" => on_off(self.read_only),
            "double_quoted_strings" => on_off(self.double_quoted_strings),
            "durability" => match self.durability {
                Durability::Sync => "sync",
                Durability::Async => "async",
                Durability::None => "none",
            }
            .to_owned(),
            "executor" => match self.executor {
                ExecutorSetting::Auto => "auto",
                ExecutorSetting::Row => "row",
                ExecutorSetting::Vector => "vector",
            }
            .to_owned(),
            "extra_float_digits" => self.style.extra_float_digits.to_string(),
            "intervalstyle" => self.style.interval.name().to_owned(),
            "lock_timeout" => show_time(self.lock_timeout),
            "optimizer" => on_off(self.optimizer),
            "search_path" => shown_path(&self.search_path),
            "server_version" => {
                concat!("15.0 (RustlingDB ", env!("CARGO_PKG_VERSION"), ")").to_owned()
            }
            "server_version_num" => "150000".to_owned(),
            "standard_conforming_strings" => "on".to_owned(),
            "statement_timeout" => show_time(self.statement_timeout),
            "synchronous_commit" => on_off(self.durability == Durability::Sync),
            "timezone" => self.time_zone_name.clone(),
            _ => match PRESETS
                .iter()
                .chain(INERT)
                .find(|(known, _)| *known == name)
            {
                Some((known, default)) => self
                    .inert
                    .get(known)
                    .map_or_else(|| (*default).to_owned(), Clone::clone),
                None => return Err(unknown(&name)),
            },
        })
    }

    /// SHOW ALL: name, value, description.
    pub(crate) fn show_all(&self) -> Result<Vec<[String; 3]>> {
        DESCRIPTIONS
            .iter()
            .map(|(name, description)| {
                Ok([
                    (*name).to_owned(),
                    self.show(name)?,
                    (*description).to_owned(),
                ])
            })
            .collect()
    }
}

/// A truth value as SHOW prints it.
pub(super) fn on_off(truth: bool) -> String {
    (if truth { "on" } else { "off" }).to_owned()
}

/// A setting as `pg_settings` lists it.
#[derive(Clone, Debug)]
pub(crate) struct ListedSetting {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    /// What it is without SET.
    pub(crate) default: String,
    /// What RESET goes back to.
    pub(crate) reset: String,
    pub(crate) description: &'static str,
    pub(crate) category: &'static str,
    /// Whether it cannot be changed.
    pub(crate) fixed: bool,
    /// Whether it changes anything here.
    pub(crate) has_effect: bool,
}

impl ListedSetting {
    /// `vartype`, as far as the default tells it.
    pub(crate) fn kind(&self) -> &'static str {
        match self.default.as_str() {
            "on" | "off" => "bool",
            text if text.parse::<i64>().is_ok() => "integer",
            text if text.parse::<f64>().is_ok() => "real",
            _ => "string",
        }
    }
}

impl Settings {
    /// Every setting, by name.
    pub(crate) fn listed(&self) -> Result<Vec<ListedSetting>> {
        let default = Settings::default();
        let known = DESCRIPTIONS.iter().map(|(name, text)| (*name, *text, true));
        let presets = PRESETS
            .iter()
            .map(|(name, _)| (*name, "What clients ask a server about itself.", false));
        let inert = INERT
            .iter()
            .map(|(name, _)| (*name, "Kept for clients; it changes nothing here.", false));
        let mut all = Vec::with_capacity(DESCRIPTIONS.len() + PRESETS.len() + INERT.len());
        for (name, description, has_effect) in known.chain(presets).chain(inert) {
            let reset = self.reset.as_deref().unwrap_or(&default);
            all.push(ListedSetting {
                name,
                value: self.show(name)?,
                default: default.show(name)?,
                reset: reset.show(name)?,
                description,
                category: if has_effect {
                    "Session"
                } else {
                    "Compatibility"
                },
                fixed: PRESETS.iter().any(|(preset, _)| *preset == name)
                    || matches!(
                        name,
                        "client_encoding"
                            | "server_encoding"
                            | "server_version"
                            | "server_version_num"
                            | "standard_conforming_strings"
                    ),
                has_effect,
            });
        }
        all.sort_by_key(|setting| setting.name);
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let mut settings = Settings::default();
        for (text, shown) in [
            ("1500", "1500ms"),
            ("2s", "2s"),
            ("90 min", "90min"),
            ("0", "0"),
            ("1h", "1h"),
        ] {
            settings
                .set("statement_timeout", Some(&Value::Text(text.into())))
                .unwrap();
            assert_eq!(settings.show("statement_timeout").unwrap(), shown);
        }
        let error = settings
            .set("statement_timeout", Some(&Value::Text("soon".into())))
            .unwrap_err();
        assert_eq!(error.state(), SqlState::INVALID_PARAMETER_VALUE);
    }

    #[test]
    fn unknown_settings_are_named() {
        let error = Settings::default().show("statement_timeot").unwrap_err();
        assert_eq!(
            error.hint_text(),
            Some("Perhaps you meant \"statement_timeout\".")
        );
    }
}
