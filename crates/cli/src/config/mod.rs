//! The configuration: what is in force, and from where.
//!
//! The command line comes first, then the environment (`RUSTLING_SERVER_LISTEN`), then the file:
//! the one that `--config` names, or `rustling.toml` in the database's directory.

mod file;
mod keys;
mod value;

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use rustling_storage::Env;

use crate::{
    args::{Command, Common, Serve},
    error::{Error, Result},
};
pub(crate) use keys::{KEYS, Key, Kind};
use value::Value;
pub(crate) use value::parse_bytes;

/// The file that is read where none is named.
const FILE: &str = "rustling.toml";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nobody has set it.
    Default,
    /// A line of the file.
    File(PathBuf, usize),
    /// A variable of the environment.
    Environment(String),
    /// An option of the command line.
    Option(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File(path, line) => write!(f, "{}, line {line}", path.display()),
            Source::Environment(name) => f.write_str(name),
            Source::Option(name) => f.write_str(name),
        }
    }
}

/// What is in force.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    settings: BTreeMap<&'static str, (Value, Source)>,
}

impl Config {
    /// Reads the configuration for a command on the database at `path`.
    ///
    /// # Errors
    /// Names a key or value that is wrong, with where it stands.
    pub(crate) fn read(path: &Path, common: &Common, command: Option<&Command>) -> Result<Config> {
        let mut config = Config::defaults();
        let env = Env::system();
        let file = common.config.clone().unwrap_or_else(|| path.join(FILE));
        let is_there = || env.vfs.exists(&file).unwrap_or_default();
        if common.config.is_some() || is_there() {
            let text = file::read(&env, &file)?;
            file::apply(&mut config, &file, &text)?;
        }
        config.apply_environment(std::env::vars())?;
        config.apply_options(common, command)?;
        Ok(config)
    }

    fn defaults() -> Config {
        let settings = KEYS
            .iter()
            .filter_map(|key| {
                let value = Value::default_of(key)?;
                Some((key.name, (value, Source::Default)))
            })
            .collect();
        Config { settings }
    }

    fn set(&mut self, key: &'static Key, value: Value, source: Source) {
        self.settings.insert(key.name, (value, source));
    }

    fn apply_environment(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<()> {
        for (name, text) in variables {
            if let Some(key) = KEYS.iter().find(|key| key.variable() == name) {
                let value = Value::parse(key, &text).map_err(|problem| Error::Usage {
                    message: format!("{name}={text}: {problem}"),
                    hint: key.help.to_owned(),
                })?;
                self.set(key, value, Source::Environment(name));
                continue;
            }
            let of_table = |key: &Key| {
                let table = key.name.split('.').next().unwrap_or_default();
                name.strip_prefix("RUSTLING_")
                    .and_then(|rest| rest.strip_prefix(&table.to_ascii_uppercase()))
                    .is_some_and(|rest| rest.starts_with('_'))
            };
            if KEYS.iter().any(of_table) {
                return Err(Error::Usage {
                    message: format!("{name} sets nothing that there is"),
                    hint: "rustling config lists the keys: server.listen is RUSTLING_SERVER_LISTEN"
                        .into(),
                });
            }
        }
        Ok(())
    }

    fn apply_options(&mut self, common: &Common, command: Option<&Command>) -> Result<()> {
        let mut given: Vec<(&'static str, &'static str, Value)> = Vec::new();
        if let Some(bytes) = common.memory {
            given.push(("memory.limit", "--memory", Value::Bytes(bytes as u64)));
        }
        if let Some(Command::Serve(serve)) = command {
            serve_options(serve, &mut given);
        }
        for (name, option, value) in given {
            if let Some(key) = keys::key(name) {
                self.set(key, value, Source::Option(option));
            }
        }
        Ok(())
    }

    /// Whether somebody has set a key.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.settings
            .get(name)
            .is_some_and(|(_, source)| *source != Source::Default)
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.settings.get(name).map(|(value, _)| value)
    }

    /// A truth value.
    pub(crate) fn truth(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Truth(true)))
    }

    /// A number, of bytes too.
    pub(crate) fn number(&self, name: &str) -> usize {
        match self.value(name) {
            Some(Value::Count(number) | Value::Bytes(number)) => {
                usize::try_from(*number).unwrap_or(usize::MAX)
            }
            _ => 0,
        }
    }

    /// A time.
    pub(crate) fn time(&self, name: &str) -> Option<Duration> {
        match self.value(name) {
            Some(Value::Time(time)) => Some(*time),
            _ => None,
        }
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A file or directory. In a configuration file it is relative to that.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        let (value, source) = self.settings.get(name)?;
        let Value::Text(text) = value else {
            return None;
        };
        Some(match source {
            Source::File(file, _) => file.parent().unwrap_or(Path::new("")).join(text),
            _ => PathBuf::from(text),
        })
    }

    /// Several texts.
    pub(crate) fn texts(&self, name: &str) -> &[String] {
        match self.value(name) {
            Some(Value::Texts(texts)) => texts,
            _ => &[],
        }
    }

    /// Addresses.
    pub(crate) fn addresses(&self, name: &str) -> Vec<SocketAddr> {
        match self.value(name) {
            Some(Value::Addresses(addresses)) => addresses.clone(),
            _ => Vec::new(),
        }
    }

    /// What is in force as a file that would say the same, with where each value comes from.
    pub(crate) fn shown(&self) -> String {
        let mut text = String::new();
        let mut table = "";
        for key in KEYS {
            let (of, name) = key.name.split_once('.').unwrap_or(("", key.name));
            // Writing to a string cannot fail.
            if of != table {
                let gap = if table.is_empty() { "" } else { "\n" };
                let _ = writeln!(text, "{gap}[{of}]");
                table = of;
            }
            let _ = writeln!(text, "# {}", key.help);
            let _ = match self.settings.get(key.name) {
                Some((value, source)) => writeln!(text, "{name} = {value}  # from: {source}"),
                None => writeln!(text, "# {name} is not set"),
            };
        }
        text
    }
}

fn serve_options(serve: &Serve, given: &mut Vec<(&'static str, &'static str, Value)>) {
    let text = |path: &Path| Value::Text(path.to_string_lossy().into_owned());
    if !serve.listen.is_empty() {
        given.push((
            "server.listen",
            "--listen",
            Value::Addresses(serve.listen.clone()),
        ));
    }
    for (name, option, path) in [
        ("server.socket", "--socket", &serve.socket),
        ("server.certificate", "--certificate", &serve.certificate),
        ("server.key", "--key", &serve.key),
        ("server.rules", "--rules", &serve.rules),
    ] {
        if let Some(path) = path {
            given.push((name, option, text(path)));
        }
    }
    if serve.no_socket {
        given.push(("server.unix_socket", "--no-socket", Value::Truth(false)));
    }
    for (name, option, on) in [
        ("server.trust", "--trust", serve.trust),
        ("server.require_tls", "--require-tls", serve.require_tls),
    ] {
        if on {
            given.push((name, option, Value::Truth(true)));
        }
    }
    if let Some(connections) = serve.connections {
        given.push((
            "server.connections",
            "--connections",
            Value::Count(connections as u64),
        ));
    }
    if let Some(address) = serve.metrics {
        given.push((
            "server.metrics",
            "--metrics",
            Value::Addresses(vec![address]),
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::{Config, KEYS, Source, Value, file};

    fn from_file(text: &str) -> Result<Config, String> {
        let mut config = Config::defaults();
        file::apply(&mut config, Path::new("etc/rustling.toml"), text)
            .map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn every_default_is_a_value_of_its_key() {
        for key in KEYS {
            assert_eq!(
                Value::default_of(key).is_none(),
                key.default.is_empty(),
                "{}",
                key.name
            );
            assert!(
                key.name.contains('.') && key.help.ends_with('.'),
                "{}",
                key.name
            );
        }
    }

    #[test]
    fn files_are_read_and_paths_are_relative_to_them() {
        let config = from_file(
            "# a comment\n[server]\nlisten = [\"127.0.0.1:5432\", \"[::1]:5432\"]\n\
             startup_time = \"1500ms\"\nconnections = 7\nrules = \"hba.conf\"\n\
             [memory]\nlimit = \"64MiB\"\n",
        )
        .unwrap();
        assert_eq!(config.addresses("server.listen").len(), 2);
        assert_eq!(
            config.time("server.startup_time"),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(config.number("server.connections"), 7);
        assert_eq!(config.number("memory.limit"), 64 << 20);
        assert_eq!(
            config.path("server.rules").unwrap(),
            Path::new("etc/hba.conf")
        );
        assert!(config.is_set("server.rules") && !config.is_set("server.trust"));
    }

    #[test]
    fn wrong_keys_and_values_are_named_with_their_line() {
        for (text, expected) in [
            (
                "[server]\nlissten = []\n",
                "etc/rustling.toml, line 2: there is no key server.lissten",
            ),
            (
                "[servr]\nlisten = []\n",
                "etc/rustling.toml, line 1: there is no table servr",
            ),
            (
                "listen = 1\n",
                "etc/rustling.toml, line 1: there is no table listen",
            ),
            (
                "\n\n[server]\ntrust = \"yes\"\n",
                "etc/rustling.toml, line 4: server.trust:",
            ),
            (
                "[server]\nconnections = -1\n",
                "etc/rustling.toml, line 2: server.connections:",
            ),
            (
                "[server]\nlisten = [\"nowhere\"]\n",
                "etc/rustling.toml, line 2: server.listen:",
            ),
            (
                "[memory]\nlimit = \"12 parsecs\"\n",
                "etc/rustling.toml, line 2: memory.limit:",
            ),
            (
                "[log]\nlevel = \"loud\"\n",
                "etc/rustling.toml, line 2: log.level:",
            ),
            (
                "[log]\nslow_statement = 5\n",
                "etc/rustling.toml, line 2: log.slow_statement:",
            ),
            ("[server]\nlisten = [\n", "etc/rustling.toml, line "),
        ] {
            let error = from_file(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_environment_comes_before_the_file() {
        let mut config = from_file("[server]\nconnections = 7\ntrust = true\n").unwrap();
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let variables = [
            variable("RUSTLING_SERVER_CONNECTIONS", "8"),
            variable("RUSTLING_SERVER_LISTEN", "127.0.0.1:1, 127.0.0.1:2"),
            variable("RUSTLING_DB", "elsewhere"),
        ];
        config.apply_environment(variables.into_iter()).unwrap();
        assert_eq!(config.number("server.connections"), 8);
        assert_eq!(config.addresses("server.listen").len(), 2);
        assert!(config.truth("server.trust"));
        let shown = config.shown();
        assert!(
            shown.contains("connections = 8  # from: RUSTLING_SERVER_CONNECTIONS\n"),
            "{shown}"
        );
        assert!(
            shown.contains("trust = true  # from: etc/rustling.toml, line 3\n"),
            "{shown}"
        );
        for (name, value) in [
            ("RUSTLING_SERVER_CONECTIONS", "8"),
            ("RUSTLING_SERVER_CONNECTIONS", "many"),
        ] {
            let error = config.apply_environment([variable(name, value)].into_iter());
            assert!(error.unwrap_err().to_string().contains(name));
        }
    }

    #[test]
    fn what_is_shown_says_the_same_as_a_file() {
        let config =
            from_file("[server]\nlisten = [\"127.0.0.1:5432\"]\n[log]\nfile = \"a \\\"b\\\"\"\n")
                .unwrap();
        let again = from_file(&config.shown()).unwrap();
        let values = |config: &Config| {
            let of = |(name, (value, _)): (&&'static str, &(Value, Source))| (*name, value.clone());
            config.settings.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(values(&config), values(&again));
    }
}
