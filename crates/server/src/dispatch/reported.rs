//! Settings that clients are told, now and whenever they change.

use bytes::BytesMut;
use rustling_sql::Session;

use crate::backend::parameter_status;

/// The settings, by the names that clients know.
const FOLLOWED: [&str; 10] = [
    "server_version",
    "is_superuser",
    "session_authorization",
    "application_name",
    "client_encoding",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "default_transaction_read_only",
    "standard_conforming_strings",
];

/// What the client was told last.
#[derive(Debug, Default)]
pub(super) struct Reported {
    values: Vec<String>,
    /// The settings' version that they are of.
    version: Option<u64>,
}

impl Reported {
    /// Tells everything, to a new client.
    pub(super) fn all(&mut self, session: &Session, out: &mut BytesMut) {
        let fixed = [
            ("server_encoding", "UTF8"),
            ("integer_datetimes", "on"),
            ("in_hot_standby", "off"),
        ];
        for (name, value) in fixed {
            parameter_status(out, name, value);
        }
        self.values.clear();
        self.version = None;
        self.changed(session, out);
    }

    /// Tells what has changed.
    pub(super) fn changed(&mut self, session: &Session, out: &mut BytesMut) {
        let version = Some(session.settings_version());
        if self.version == version {
            return;
        }
        self.version = version;
        self.values.resize(FOLLOWED.len(), String::new());
        for (name, known) in FOLLOWED.iter().zip(&mut self.values) {
            let value = match *name {
                "is_superuser" if session.is_superuser() => "on".to_owned(),
                "is_superuser" => "off".to_owned(),
                "session_authorization" => session.session_user().to_owned(),
                name => session.setting(&name.to_lowercase()).unwrap_or_default(),
            };
            if value != *known {
                parameter_status(out, name, &value);
                *known = value;
            }
        }
    }
}
