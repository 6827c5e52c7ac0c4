//! What is kept of a password: a SCRAM-SHA-256 verifier (RFC 5802, RFC 7677), from which the
//! password cannot be told, in PostgreSQL's form:
//! `SCRAM-SHA-256$iterations:salt$stored key:server key`, the last three in base 64.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use rustling_storage::Env;
use sha2::{Digest, Sha256};

use crate::{Error, Result, SqlState, catalog::access::PASSWORD_ITERATIONS};

/// Bytes of salt.
const SALT: usize = 16;
/// Bytes of a key: SHA-256's.
const KEY: usize = 32;

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; KEY] {
    // HMAC takes keys of any length; the error is for algorithms that do not.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else {
        return [0; KEY];
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Hi() of RFC 5802: PBKDF2 with HMAC-SHA-256 and one block.
fn salted(password: &str, salt: &[u8], iterations: u32) -> [u8; KEY] {
    let mut last = hmac(password.as_bytes(), &[salt, &1u32.to_be_bytes()]);
    let mut result = last;
    for _ in 1..iterations {
        last = hmac(password.as_bytes(), &[&last]);
        for (byte, of) in result.iter_mut().zip(last) {
            *byte ^= of;
        }
    }
    result
}

fn verifier(password: &str, salt: &[u8], iterations: u32) -> String {
    // What cannot be prepared is taken as it is, as PostgreSQL has it.
    let prepared = stringprep::saslprep(password).unwrap_or_else(|_| password.into());
    let salted = salted(&prepared, salt, iterations);
    let client = hmac(&salted, &[b"Client Key"]);
    let stored: [u8; KEY] = Sha256::digest(client).into();
    let server = hmac(&salted, &[b"Server Key"]);
    format!(
        "SCRAM-SHA-256${iterations}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored),
        STANDARD.encode(server)
    )
}

/// Whether a text is a verifier already.
fn is_verifier(text: &str) -> bool {
    let parts = || {
        let (head, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let key = |text: &str| STANDARD.decode(text).is_ok_and(|key| key.len() == KEY);
        let fits = iterations.parse::<u32>().is_ok_and(|rounds| rounds > 0)
            && STANDARD.decode(salt).is_ok_and(|salt| !salt.is_empty())
            && key(stored)
            && key(server);
        Some(fits)
    };
    parts().unwrap_or(false)
}

/// What is kept of the password that PASSWORD gives: a verifier is kept as it is.
pub(crate) fn kept(password: &str, env: &Env) -> Result<String> {
    if is_verifier(password) {
        return Ok(password.to_owned());
    }
    if password.is_empty() {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "a password cannot be empty",
        )
        .hint("PASSWORD NULL takes the password away."));
    }
    let mut salt = [0; SALT];
    for part in salt.chunks_exact_mut(8) {
        part.copy_from_slice(&env.random.next_u64().to_le_bytes());
    }
    Ok(verifier(password, &salt, PASSWORD_ITERATIONS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7677_gives_its_signature() {
        // The server's signature of section 3: HMAC of the server key and the messages.
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let text = verifier("pencil", &salt, 4096);
        assert!(is_verifier(&text));
        let (_, server) = text.rsplit_once(':').unwrap();
        let messages = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = hmac(&STANDARD.decode(server).unwrap(), &[messages.as_bytes()]);
        assert_eq!(
            STANDARD.encode(signature),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }

    #[test]
    fn a_verifier_is_told_from_a_password() {
        for password in [
            "",
            "SCRAM-SHA-256$",
            "SCRAM-SHA-256$1:AA==$AA==:AA==",
            "secret",
        ] {
            assert!(!is_verifier(password), "{password}");
        }
    }
}
