//! A web service for notes: see the README.

mod authors;
mod error;
mod notes;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::{get, post},
};
use rustling_query::{AsyncDatabase, migrate};

use authors::{Author, NewAuthor};
use error::Failure;
use notes::{Found, HandOver, NewNote, Note, Search};

/// The service over a database, which is brought up to date first.
///
/// # Errors
/// What a migration fails with.
pub async fn service(db: AsyncDatabase) -> rustling_query::Result<Router> {
    db.migrate(&migrate!()).await?;
    Ok(Router::new()
        .route("/authors", post(add_author).get(list_authors))
        .route("/authors/{id}/notes", get(notes_of))
        .route("/authors/{id}/hand-over", post(hand_over))
        .route("/notes", post(add_note).get(search))
        .route("/notes/{id}/publish", post(publish))
        .with_state(db))
}

async fn add_author(
    State(db): State<AsyncDatabase>,
    Json(new): Json<NewAuthor>,
) -> Result<(StatusCode, Json<Author>), Failure> {
    let author = new.insert(&db).await?;
    Ok((StatusCode::CREATED, Json(author)))
}

async fn list_authors(State(db): State<AsyncDatabase>) -> Result<Json<Vec<Author>>, Failure> {
    Ok(Json(authors::all(&db).await?))
}

async fn add_note(
    State(db): State<AsyncDatabase>,
    Json(new): Json<NewNote>,
) -> Result<(StatusCode, Json<Note>), Failure> {
    let note = db.transaction(move |tx| notes::write(tx, &new)).await?;
    Ok((StatusCode::CREATED, Json(note)))
}

async fn notes_of(
    State(db): State<AsyncDatabase>,
    Path(author_id): Path<i32>,
) -> Result<Json<Vec<Note>>, Failure> {
    Ok(Json(Note::find_by_author_id(author_id, &db).await?))
}

async fn publish(
    State(db): State<AsyncDatabase>,
    Path(id): Path<i64>,
) -> Result<StatusCode, Failure> {
    notes::publish(&db, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn search(
    State(db): State<AsyncDatabase>,
    Query(search): Query<Search>,
) -> Result<Json<Vec<Found>>, Failure> {
    Ok(Json(notes::search(&db, &search).await?))
}

async fn hand_over(
    State(db): State<AsyncDatabase>,
    Path(from): Path<i32>,
    Json(HandOver { to }): Json<HandOver>,
) -> Result<Json<u64>, Failure> {
    let moved = db.transaction(move |tx| notes::hand_over(tx, from, to));
    Ok(Json(moved.await?))
}
