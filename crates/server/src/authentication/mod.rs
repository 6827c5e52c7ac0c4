//! Who may connect.
//!
//! Over TCP a client proves that it knows a password by SCRAM-SHA-256 (RFC 5802, RFC 7677),
//! bound to the TLS connection where there is one; the database's roles have verifiers, from which
//! the password cannot be told. Over the Unix socket the system says who is there: the user that
//! runs the server is let in. Nobody else is, unless the options say that everybody is trusted.

mod verifier;

use bytes::Bytes;
use pgwire::{
    api::auth::sasl::scram::{ScramSecret, ScramServerAuth, ScramServerAuthWaitingForClientFinal},
    error::PgWireError,
};

use rustling_sql::Database;
use verifier::Verifier;
pub(crate) use verifier::fill;

use crate::frontend::{ProtocolError, Reader};

/// The mechanism without and with channel binding.
pub(crate) const SCRAM: &str = "SCRAM-SHA-256";
pub(crate) const SCRAM_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// One exchange, the server's side.
pub(crate) struct Exchange {
    server: ScramServerAuth,
    bound: bool,
    /// Whether the name is one of ours: for others the exchange goes on as if it were.
    known: bool,
    secret: Option<ScramSecret>,
    waiting: Option<ScramServerAuthWaitingForClientFinal>,
}

/// What the exchange answers.
pub(crate) enum Answer {
    /// Send this and go on.
    Continue(String),
    /// Send this; the client is who it says it is.
    Done(String),
}

impl Exchange {
    /// Begins an exchange with a client that says it is `user`. `certificate` is the server's,
    /// in PEM, where the connection is encrypted.
    ///
    /// # Errors
    /// Where the certificate does not allow binding.
    pub(crate) fn new(
        database: &Database,
        decoys: &Decoys,
        user: &str,
        certificate: Option<&[u8]>,
    ) -> Result<Exchange, ProtocolError> {
        let mut server = ScramServerAuth::new();
        if let Some(certificate) = certificate {
            server.configure_certificate(certificate).map_err(refused)?;
        }
        let verifier = verifier_of(database, user);
        let known = verifier.is_some();
        let secret = verifier.unwrap_or_else(|| decoys.of(user)).secret();
        Ok(Exchange {
            server,
            bound: certificate.is_some(),
            known,
            secret: Some(secret),
            waiting: None,
        })
    }

    /// The mechanisms on offer, best first.
    pub(crate) fn mechanisms(&self) -> Vec<String> {
        if self.bound {
            vec![SCRAM_PLUS.into(), SCRAM.into()]
        } else {
            vec![SCRAM.into()]
        }
    }

    /// Takes a message of the client's.
    ///
    /// # Errors
    /// 28P01 where the client is not who it says it is, 08P01 for messages out of order.
    pub(crate) fn next(&mut self, message: Bytes) -> Result<Answer, ProtocolError> {
        if let Some(waiting) = self.waiting.take() {
            let answer = waiting.on_client_final_message(&message).map_err(refused)?;
            return if self.known {
                Ok(Answer::Done(answer))
            } else {
                Err(wrong_password())
            };
        }
        let mut reader = Reader::new(message);
        let mechanism = reader.text()?;
        if !self.mechanisms().contains(&mechanism) {
            return Err(ProtocolError::new(format!(
                "client selected an invalid SASL authentication mechanism: {mechanism}"
            )));
        }
        let length = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
        let first = reader.take(length)?;
        let secret = self
            .secret
            .take()
            .filter(|_| reader.is_empty())
            .ok_or_else(|| ProtocolError::new("malformed SCRAM message"))?;
        if (mechanism == SCRAM_PLUS) != first.starts_with(b"p=") {
            return Err(ProtocolError::new(
                "the SCRAM mechanism and its channel binding disagree",
            ));
        }
        let (answer, waiting) = self
            .server
            .on_client_first_message_with_secret(&first, secret)
            .map_err(refused)?;
        self.waiting = Some(waiting);
        Ok(Answer::Continue(answer))
    }
}

/// What the password of a role is checked with; `None` where it has none that is valid now.
fn verifier_of(database: &Database, name: &str) -> Option<Verifier> {
    let role = database.role(name)?;
    let now = database.env().wall_clock();
    if role.valid_until.is_some_and(|until| until <= now) {
        return None;
    }
    Verifier::parse(role.verifier.as_deref()?)
}

/// Verifiers for names that no role has, so that an exchange with them looks like any other.
#[derive(Clone)]
pub(crate) struct Decoys {
    seed: [u8; 32],
}

impl std::fmt::Debug for Decoys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoys").finish_non_exhaustive()
    }
}

impl Decoys {
    /// Those of one server.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub(crate) fn new() -> crate::Result<Decoys> {
        let mut seed = [0; 32];
        fill(&mut seed)?;
        Ok(Decoys { seed })
    }

    fn of(&self, name: &str) -> Verifier {
        Verifier::decoy(&self.seed, name)
    }
}

/// The error for whatever is wrong with a proof: it does not say what.
pub(crate) fn wrong_password() -> ProtocolError {
    ProtocolError {
        state: "28P01",
        message: "password authentication failed".into(),
    }
}

fn refused(error: PgWireError) -> ProtocolError {
    match error {
        PgWireError::InvalidPassword(_) => wrong_password(),
        other => ProtocolError::new(other.to_string()),
    }
}
