//! What a server keeps of a password.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pgwire::api::auth::sasl::scram::{ScramSecret, gen_salted_password};
use rustling_sql::catalog::access::PASSWORD_ITERATIONS;

use crate::error::{Error, Result};

/// Bytes of salt.
const SALT: usize = 16;
/// Bytes of a key: SHA-256's.
const KEY: usize = 32;

/// Enough to check a password and not enough to know it, in PostgreSQL's form:
/// `SCRAM-SHA-256$iterations:salt$stored key:server key`, the last three in base 64.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Verifier {
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
    /// Reads PostgreSQL's form. `None` where the text is something else.
    pub(crate) fn parse(text: &str) -> Option<Verifier> {
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
            // As many as real ones have.
            iterations: PASSWORD_ITERATIONS as usize,
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
