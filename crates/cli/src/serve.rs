//! `rustling serve` and `rustling user`.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::mpsc,
};

use listenfd::ListenFd;
use rustling_server::{Certificate, Inherited, Rules, Server, ServerOptions};
use rustling_sql::{Database, ast::RoleOption};
use rustling_storage::{Env, OpenMode};
use sd_notify::NotifyState;

use crate::{
    args,
    config::Config,
    error::{Error, Result, output},
    logging,
};

/// Serves a database until the process is asked to end.
///
/// # Errors
/// Where the server cannot start.
pub(crate) fn serve(database: &Database, config: &Config) -> Result<()> {
    let _writing = logging::begin(config)?;
    let options = options(database, config)?;
    let (ended, end) = mpsc::channel();
    ctrlc::set_handler(move || {
        // A second signal finds nobody listening: the first one is being followed.
        let _ = ended.send(());
    })
    .map_err(|error| Error::Usage {
        message: format!("cannot wait for signals: {error}"),
        hint: "run the command in a process of its own".into(),
    })?;
    let server = Server::start_on(database.clone(), options, inherited()?)?;
    let mut text = String::new();
    for address in server.addresses() {
        text.push_str(&format!("Listening on {address}.\n"));
    }
    if let Some(socket) = server.socket() {
        text.push_str(&format!("Listening on {}.\n", socket.display()));
        if let (Some(directory), Some(port)) = (
            socket.parent(),
            socket.extension().and_then(|port| port.to_str()),
        ) {
            // psql takes a relative path for a host's name.
            let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.into());
            text.push_str(&format!(
                "From this machine: psql -h {} -p {port}\n",
                directory.display()
            ));
        }
    }
    if let Some(address) = server.metrics_address() {
        text.push_str(&format!("Figures are at http://{address}/metrics.\n"));
    }
    say(&text)?;
    tell_system(NotifyState::Ready);
    // An error means that the handler is gone: there is nothing to wait for.
    let _ = end.recv();
    tell_system(NotifyState::Stopping);
    say("Ending: no new connections; sessions end with their transactions.\n")?;
    server.shutdown(config.time("server.shutdown_time").unwrap_or_default());
    Ok(())
}

/// Tells systemd how far the server is; without one nobody listens.
fn tell_system(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(false, &[state]) {
        tracing::warn!(%error, "cannot tell systemd");
    }
}

/// What the configuration says of the server.
fn options(database: &Database, config: &Config) -> Result<ServerOptions> {
    let env = database.env();
    let mut options = ServerOptions::new();
    options.listen = config.addresses("server.listen");
    if config.truth("server.unix_socket") {
        options.socket_directory = config
            .path("server.socket")
            .or_else(|| database.directory().map(Path::to_path_buf));
    }
    options.trust = config.truth("server.trust");
    options.require_tls = config.truth("server.require_tls");
    options.reuse_port = config.truth("server.reuse_port");
    if let Some(path) = config.path("server.rules") {
        let text = String::from_utf8(read(env, &path)?).map_err(|_| Error::Usage {
            message: format!("{} is not UTF-8", path.display()),
            hint: "write the rules as plain text".into(),
        })?;
        options.rules = Some(Rules::parse(&path.display().to_string(), &text)?);
    }
    match (config.path("server.certificate"), config.path("server.key")) {
        (Some(chain), Some(key)) => {
            let certificate = Certificate::from_pem(&read(env, &chain)?, &read(env, &key)?)?;
            options.certificate = Some(certificate);
        }
        (None, None) => {}
        _ => {
            return Err(Error::Usage {
                message: "a certificate and its key go together".into(),
                hint: "set both server.certificate and server.key, or neither".into(),
            });
        }
    }
    let directories = config.texts("server.file_directories").iter();
    options.file_directories = directories.map(PathBuf::from).collect();
    options.threads = config.number("server.threads");
    options.metrics = config.addresses("server.metrics").first().copied();
    options.slow_statement = config.time("log.slow_statement");
    let limits = &mut options.limits;
    limits.connections = config.number("server.connections");
    limits.startup_time = config.time("server.startup_time").unwrap_or_default();
    limits.message_bytes = config.number("server.message");
    limits.statement_time = config.time("server.statement_time").unwrap_or_default();
    limits.idle_transaction_time = config
        .time("server.idle_transaction_time")
        .unwrap_or_default();
    limits.session_memory = config.number("server.session_memory");
    Ok(options)
}

/// The sockets that systemd has opened for us.
fn inherited() -> Result<Inherited> {
    let mut inherited = Inherited::default();
    let mut sockets = ListenFd::from_env();
    let unusable = |source| Error::Io {
        action: "cannot take over a socket that was handed to us",
        source,
    };
    for at in 0..sockets.len() {
        match sockets.take_tcp_listener(at) {
            Ok(Some(listener)) => inherited.tcp.push(listener),
            Ok(None) => {}
            // It is of the other kind.
            Err(_) => inherited
                .unix
                .extend(sockets.take_unix_listener(at).map_err(unusable)?),
        }
    }
    Ok(inherited)
}

fn say(text: &str) -> Result<()> {
    io::stderr().write_all(text.as_bytes()).map_err(output)
}

fn read(env: &Env, path: &Path) -> Result<Vec<u8>> {
    let read = || -> io::Result<Vec<u8>> {
        let file = env.vfs.open(path, OpenMode::ReadOnly)?;
        let length = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    };
    read().map_err(|source| rustling_storage::Error::io("read", path, source).into())
}

/// Adds, removes or lists the roles that may connect.
///
/// # Errors
/// Where there is no database, or the role is not to be made, changed or dropped so.
pub(crate) fn user(database: &Database, command: &args::User) -> Result<()> {
    match command {
        args::User::Add { name, superuser } => {
            let mut options = vec![
                RoleOption::Login(true),
                RoleOption::Password(Some(password(name)?)),
            ];
            if *superuser {
                options.push(RoleOption::Superuser(true));
            }
            database.set_role(name, &options).map_err(Error::Database)?;
            say(&format!("{name} may connect.\n"))
        }
        args::User::Remove { name } => {
            if database.role(name).is_none() {
                return Err(Error::Usage {
                    message: format!("there is no user {name}"),
                    hint: "rustling user list shows all".into(),
                });
            }
            database.drop_role(name).map_err(Error::Database)?;
            say(&format!("{name} may not connect any more.\n"))
        }
        args::User::List => {
            let mut text = String::new();
            for role in database.roles() {
                if role.login && role.verifier.is_some() {
                    text.push_str(&role.name);
                    text.push('\n');
                }
            }
            io::stdout().write_all(text.as_bytes()).map_err(output)
        }
    }
}

/// The password, from standard input: a line of it.
fn password(name: &str) -> Result<String> {
    if io::stdin().is_terminal() {
        say(&format!("Password of {name} (it is shown): "))?;
    }
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|source| Error::Io {
            action: "cannot read the password",
            source,
        })?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
