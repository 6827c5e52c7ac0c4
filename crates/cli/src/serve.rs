//! `rustling serve` and `rustling user`.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::Path,
    sync::mpsc,
    time::Duration,
};

use rustling_server::{Certificate, Server, ServerOptions};
use rustling_sql::{Database, ast::RoleOption};
use rustling_storage::{Env, OpenMode};

use crate::{
    args,
    error::{Error, Result, output},
};

/// How long sessions may go on when the server is asked to end.
const GRACE: Duration = Duration::from_secs(30);

/// Serves a database until the process is asked to end.
///
/// # Errors
/// Where the server cannot start.
pub(crate) fn serve(database: &Database, arguments: &args::Serve) -> Result<()> {
    let env = database.env();
    let mut options = ServerOptions::new();
    options.listen.clone_from(&arguments.listen);
    options.socket_directory = match (&arguments.socket, arguments.no_socket) {
        (_, true) => None,
        (Some(directory), false) => Some(directory.clone()),
        (None, false) => database.directory().map(Path::to_path_buf),
    };
    options.trust = arguments.trust;
    options.require_tls = arguments.require_tls;
    if let (Some(chain), Some(key)) = (&arguments.certificate, &arguments.key) {
        options.certificate = Some(Certificate::from_pem(&read(env, chain)?, &read(env, key)?)?);
    }
    if let Some(connections) = arguments.connections {
        options.limits.connections = connections;
    }
    let (ended, end) = mpsc::channel();
    ctrlc::set_handler(move || {
        // A second signal finds nobody listening: the first one is being followed.
        let _ = ended.send(());
    })
    .map_err(|error| Error::Usage {
        message: format!("cannot wait for signals: {error}"),
        hint: "run the command in a process of its own".into(),
    })?;
    let server = Server::start(database.clone(), options)?;
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
    say(&text)?;
    // An error means that the handler is gone: there is nothing to wait for.
    let _ = end.recv();
    say("Ending: no new connections; sessions end with their transactions.\n")?;
    server.shutdown(GRACE);
    Ok(())
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
