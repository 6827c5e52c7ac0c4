//! Serves notes from a database directory: `notes DIRECTORY`.
#![expect(clippy::print_stdout, reason = "a program tells where it listens")]

use std::error::Error;

use rustling_query::AsyncDatabase;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "notes.db".into());
    let db = AsyncDatabase::open(directory).await?;
    let service = notes::service(db).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, service).await?;
    Ok(())
}
