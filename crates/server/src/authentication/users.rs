//! The users of a server and what checks their passwords.

use std::{collections::BTreeMap, fmt::Write as _, io, path::Path};

use rustling_storage::{Env, OpenMode};

use super::verifier::{Verifier, fill};
use crate::error::{Error, Result};

/// Names and verifiers.
///
/// ```
/// use rustling_server::Users;
///
/// let mut users = Users::new()?;
/// users.add("ann", "correct horse battery staple")?;
/// assert!(users.contains("ann"));
/// # Ok::<(), rustling_server::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Users {
    verifiers: BTreeMap<String, Verifier>,
    /// What decoys are made from.
    seed: [u8; 32],
}

impl Users {
    /// Nobody.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn new() -> Result<Users> {
        let mut seed = [0; 32];
        fill(&mut seed)?;
        Ok(Users {
            verifiers: BTreeMap::new(),
            seed,
        })
    }

    /// Adds a user, or changes the password of one.
    ///
    /// # Errors
    /// Where the name is empty or holds a colon, a line end or a zero; where the password is
    /// empty.
    pub fn add(&mut self, name: &str, password: &str) -> Result<()> {
        if name.is_empty() || name.contains([':', '\n', '\r', '\0']) {
            return Err(Error::Options(format!("{name:?} cannot name a user")));
        }
        if password.is_empty() {
            return Err(Error::Options("a password cannot be empty".into()));
        }
        self.verifiers.insert(name.into(), Verifier::new(password)?);
        Ok(())
    }

    /// Removes a user; whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        self.verifiers.remove(name).is_some()
    }

    /// Whether there is such a user.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.verifiers.contains_key(name)
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.verifiers.is_empty()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.verifiers.keys().map(String::as_str)
    }

    /// Reads the users of a file, one `NAME:VERIFIER` a line; nobody where it is missing.
    ///
    /// # Errors
    /// Where the file cannot be read or holds something else.
    pub fn load(env: &Env, path: &Path) -> Result<Users> {
        let mut users = Users::new()?;
        let handle = match env.vfs.open(path, OpenMode::ReadOnly) {
            Ok(handle) => handle,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(users),
            Err(source) => return Err(unreadable(source)),
        };
        let length = handle.len().map_err(unreadable)?;
        let mut bytes = vec![0; usize::try_from(length.min(MAX_FILE)).unwrap_or(0)];
        handle.read_exact_at(&mut bytes, 0).map_err(unreadable)?;
        let wrong = |line, reason: &str| Error::Users {
            path: path.into(),
            line,
            reason: reason.into(),
        };
        let text = String::from_utf8(bytes).map_err(|_| wrong(1, "this is no text"))?;
        for (at, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, verifier) = line
                .split_once(':')
                .ok_or_else(|| wrong(at + 1, "there is no colon"))?;
            let verifier = Verifier::parse(verifier.trim())
                .ok_or_else(|| wrong(at + 1, "what stands behind the name is no verifier"))?;
            users.verifiers.insert(name.into(), verifier);
        }
        Ok(users)
    }

    /// Writes the users to a file, which is replaced as a whole.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self, env: &Env, path: &Path) -> Result<()> {
        let mut text = String::from("# Users of this database's server and their verifiers.\n");
        for (name, verifier) in &self.verifiers {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}:{verifier}");
        }
        let unwritable = |source| Error::System {
            action: "cannot write the file of users",
            source,
        };
        let new = path.with_extension("new");
        let write = || -> io::Result<()> {
            match env.vfs.remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = env.vfs.open(&new, OpenMode::CreateNew)?;
            file.write_all_at(text.as_bytes(), 0)?;
            file.sync_all()?;
            env.vfs.rename(&new, path)?;
            match path.parent() {
                Some(parent) => env.vfs.sync_dir(parent),
                None => Ok(()),
            }
        };
        write().map_err(unwritable)
    }

    pub(super) fn verifier(&self, name: &str) -> Option<Verifier> {
        self.verifiers.get(name).cloned()
    }

    pub(super) fn decoy(&self, name: &str) -> Verifier {
        Verifier::decoy(&self.seed, name)
    }
}

/// Bytes of a file of users that are read; more would be no such file.
const MAX_FILE: u64 = 16 << 20;

fn unreadable(source: io::Error) -> Error {
    Error::System {
        action: "cannot read the file of users",
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustling_storage::Env;

    use super::Users;

    #[test]
    fn users_are_read_as_they_were_written() {
        let env = Env::in_memory();
        let path = Path::new("/users");
        assert!(Users::load(&env, path).unwrap().is_empty());
        let mut users = Users::new().unwrap();
        users.add("ann", "one").unwrap();
        users.add("bob", "two").unwrap();
        users.save(&env, path).unwrap();
        users.remove("bob");
        users.save(&env, path).unwrap();
        let read = Users::load(&env, path).unwrap();
        assert_eq!(read.names().collect::<Vec<_>>(), ["ann"]);
        assert_eq!(read.verifier("ann"), users.verifier("ann"));
    }

    #[test]
    fn names_that_would_break_the_file_are_refused() {
        let mut users = Users::new().unwrap();
        for (name, password) in [("", "x"), ("a:b", "x"), ("a\nb", "x"), ("a", "")] {
            assert!(users.add(name, password).is_err(), "{name:?}");
        }
    }
}
