//! PostgreSQL's wire protocol for a database in this process: psql, drivers and tools connect as
//! they would to a PostgreSQL server.
//!
//! ```
//! use std::time::Duration;
//! use rustling_server::{Server, ServerOptions};
//! use rustling_sql::{Database, ast::RoleOption::{Login, Password}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let db = Database::in_memory()?;
//! db.execute("CREATE TABLE t (n int)", ())?;
//! db.set_role("ann", &[Login(true), Password(Some("correct horse battery staple".into()))])?;
//! db.execute("GRANT SELECT ON t TO ann", ())?;
//! let options = ServerOptions::new().listen_on("127.0.0.1:0".parse()?);
//! let server = Server::start(db.clone(), options)?;
//! println!("psql -h 127.0.0.1 -p {} -U ann", server.addresses()[0].port());
//! // The program goes on using `db`; clients see what it commits.
//! server.shutdown(Duration::from_secs(1));
//! # Ok(())
//! # }
//! ```
//!
//! A program whose database has roles that may log in needs one line: [`Serve::serve`].
//!
//! | step                                       | room                                        |
//! |--------------------------------------------|---------------------------------------------|
//! | listening, limits, the end                 | `server`                                    |
//! | TLS, the startup message, who may connect  | `startup`, `authentication`, [`rules`]      |
//! | a connection's reading and writing         | `connection`, `busy`, `stream`              |
//! | messages → statements → answers            | `frontend`, `dispatch`, `backend`, `values` |
//! | figures for Prometheus                     | `metrics`                                   |
//! | requests to end another session's statement | `cancel`                                   |

mod authentication;
mod backend;
mod busy;
mod cancel;
mod connection;
mod dispatch;
pub mod error;
mod frontend;
mod metrics;
pub mod options;
pub mod rules;
mod server;
mod startup;
mod stream;
mod values;

pub use error::{Error, Result};
pub use options::{Certificate, Limits, ServerOptions};
pub use rules::Rules;
pub use server::{Inherited, Serve, Server};
pub use values::type_of;
