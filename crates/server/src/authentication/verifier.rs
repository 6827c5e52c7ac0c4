//! What a server keeps of a password.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pgwire::api::auth::sasl::scram::{ScramSecret, gen_salted_password};

use crate::error::{Error, Result};

/// Rounds of the key derivation for new passwords. (RFC 7677 asks for 4,096 at least; OWASP's
/// advice of 2023 is far above, but the client pays too.)
const ITERATIONS: usize = 15_000;
/// Bytes of salt.
const SALT: usize = 16;
/// Bytes of a key: SHA-256's.
const KEY: usize = 32;

/// Enough to check a password and not enough to know it, in PostgreSQL's form:
/// `SCRAM-SHA-256$iterations:salt$stored key:server key`, the last three in base 64.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: usize,
    salt: Vec<u8>,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

impl Verifier {
    /// The verifier of a password, with fresh salt.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn new(password: &str) -> Result<Verifier> {
        let mut salt = vec![0; SALT];
        fill(&mut salt)?;
        let salted = gen_salted_password(password, &salt, ITERATIONS);
        match ScramSecret::verifier_from_salted_password(salt, salted, ITERATIONS) {
            ScramSecret::Verifier {
                salt,
                iterations,
                stored_key,
                server_key,
            } => Ok(Verifier {
                iterations,
                salt,
                stored_key,
                server_key,
            }),
            ScramSecret::SaltedPassword { .. } => {
                Err(Error::Options("the password gives no verifier".into()))
            }
        }
    }

    /// Reads PostgreSQL's form. `None` where the text is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Verifier> {
        let (head, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let verifier = Verifier {
            iterations: iterations.parse().ok()?,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: STANDARD.decode(stored).ok()?,
            server_key: STANDARD.decode(server).ok()?,
        };
        (verifier.iterations > 0
            && !verifier.salt.is_empty()
            && verifier.stored_key.len() == KEY
            && verifier.server_key.len() == KEY)
            .then_some(verifier)
    }

    /// A verifier that no password fits, the same each time for the same `seed` and name: who
    /// tries names cannot tell which ones exist (RFC 5802, section 9; PostgreSQL's mock
    /// authentication).
    pub(super) fn decoy(seed: &[u8; KEY], name: &str) -> Verifier {
        let key: Vec<u8> = seed.iter().chain(name.as_bytes()).copied().collect();
        let derived = gen_salted_password(&STANDARD.encode(key), seed, 1);
        Verifier {
            iterations: ITERATIONS,
            salt: derived.get(..SALT).unwrap_or(&derived).to_vec(),
            stored_key: vec![0; KEY],
            server_key: derived,
        }
    }

    pub(super) fn secret(self) -> ScramSecret {
        ScramSecret::Verifier {
            salt: self.salt,
            iterations: self.iterations,
            stored_key: self.stored_key,
            server_key: self.server_key,
        }
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(&self.stored_key),
            STANDARD.encode(&self.server_key)
        )
    }
}

/// Fills `bytes` with the system's random ones.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| Error::System {
        action: "cannot get random bytes",
        source: error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::Verifier;

    #[test]
    fn a_verifier_reads_as_it_is_written() {
        let verifier = Verifier::new("secret").unwrap();
        assert_eq!(Verifier::parse(&verifier.to_string()), Some(verifier));
    }

    #[test]
    fn other_texts_are_no_verifiers() {
        for text in [
            "",
            "secret",
            "md5d0d50d2bd2d8b0a6a3a9a4dc4a4ebb2d",
            "SCRAM-SHA-256$0:c2FsdA==$AAAA:AAAA",
            "SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA",
            "SCRAM-SHA-256$4096:!$AAAA:AAAA",
        ] {
            assert_eq!(Verifier::parse(text), None, "{text}");
        }
    }

    #[test]
    fn decoys_are_steady_and_differ_by_name() {
        let seed = [7; 32];
        assert_eq!(Verifier::decoy(&seed, "ann"), Verifier::decoy(&seed, "ann"));
        assert_ne!(Verifier::decoy(&seed, "ann"), Verifier::decoy(&seed, "bob"));
    }
}
