//! What tools ask of the catalog, as their sources have it, over the wire.

use crate::wire;
use postgres::{Config, NoTls, SimpleQueryMessage};
use rustling_server::{Server, ServerOptions};
use rustling_sql::split_statements;

const QUERIES: &str = include_str!("../../../tests/clients/tools.sql");

#[test]
fn what_tools_ask_is_answered() {
    let options = ServerOptions::new()
        .listen_on("127.0.0.1:0".parse().unwrap())
        .trusting();
    let server = Server::start(wire::database(), options).unwrap();
    let mut client = Config::new()
        .host("127.0.0.1")
        .port(server.addresses()[0].port())
        .user("ann")
        .connect(NoTls)
        .unwrap();
    let mut wrong = Vec::new();
    for span in split_statements(QUERIES).unwrap() {
        let statement = &QUERIES[span.start..span.end];
        match client.simple_query(statement) {
            Err(error) => wrong.push(format!("{statement}\n{error:?}")),
            Ok(messages) => {
                let rows = messages
                    .iter()
                    .filter(|message| matches!(message, SimpleQueryMessage::Row(_)))
                    .count();
                // Of these there is nothing to be found.
                let may_be_empty = ["pg_enum", "pg_range"]
                    .iter()
                    .any(|table| statement.contains(table));
                let is_query = ["SELECT", "WITH"]
                    .iter()
                    .any(|word| statement.trim_start().starts_with(word));
                if is_query && rows == 0 && !may_be_empty {
                    wrong.push(format!("{statement}\nno rows"));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
}
