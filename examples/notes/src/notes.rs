//! Notes: written, published, found, handed over.

use rustling_query::{
    AsyncDatabase, Error, QueryBuilder, Result, SqlTransaction, Timestamp, execute, query_as,
    query_scalar,
};
use serde::{Deserialize, Serialize, Serializer};

use crate::{authors::Author, error::NOT_FOUND};

/// A note.
#[derive(Clone, Debug, QueryBuilder, Serialize)]
pub(crate) struct Note {
    id: i64,
    #[belongs_to(Author)]
    author_id: i32,
    title: String,
    body: Option<String>,
    #[query_builder(json)]
    labels: Vec<String>,
    state: Progress,
    #[query_builder(default = "now()")]
    #[serde(serialize_with = "as_text")]
    written: Timestamp,
}

/// How far a note is. In SQL: its name, `draft` or `published`.
#[derive(Clone, Copy, Debug, QueryBuilder, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Progress {
    Draft,
    Published,
}

fn as_text<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(moment)
}

/// What a new note gives.
#[derive(Debug, Deserialize)]
pub(crate) struct NewNote {
    author_id: i32,
    title: String,
    body: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
}

/// Writes a note and counts it: both, or neither. It runs in a transaction, on a thread that may
/// wait: the statements that are futures elsewhere give their results here.
pub(crate) fn write(tx: &mut SqlTransaction, new: &NewNote) -> Result<Note> {
    let author_id = new.author_id;
    execute!(
        tx,
        "UPDATE author SET notes = notes + 1 WHERE id = {author_id}"
    )?;
    let note = Note {
        id: 0, // the database gives the number
        author_id,
        title: new.title.clone(),
        body: new.body.clone(),
        labels: new.labels.clone(),
        state: Progress::Draft,
        written: Timestamp::UNIX_EPOCH, // the database says when
    };
    note.insert(tx)
}

/// Makes a note visible to readers.
pub(crate) async fn publish(db: &AsyncDatabase, id: i64) -> Result<()> {
    let state = Progress::Published;
    let changed = execute!(db, "UPDATE note SET state = {state} WHERE id = {id}").await?;
    if changed == 0 {
        return Err(Error::new(NOT_FOUND, "there is no such note"));
    }
    Ok(())
}

/// What a reader looks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Search {
    text: Option<String>,
    author: Option<String>,
    order: Order,
    limit: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    #[default]
    Title,
    Newest,
}

/// A note as a reader sees it.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    id: i64,
    title: String,
    body: Option<String>,
    author: String,
}

/// The published notes that fit. Every variant of the statement is checked when the program is
/// compiled; `{values}` are parameters, never text.
pub(crate) async fn search(db: &AsyncDatabase, search: &Search) -> Result<Vec<Found>> {
    let limit = search.limit.unwrap_or(50).clamp(0, 500);
    query_as!(
        db,
        Found,
        "SELECT n.id, n.title, n.body, a.name AS author
         FROM note n JOIN author a ON a.id = n.author_id
         WHERE n.state = 'published'
           {if let Some(text) = &search.text {
               AND concat_ws(' ', n.title, n.body) ILIKE '%' || {text} || '%'
           }}
           {if let Some(author) = &search.author { AND a.name = {author} }}
         ORDER BY {match search.order {
             Order::Title => { n.title },
             Order::Newest => { n.written DESC },
         }}, n.id
         LIMIT {limit}"
    )
    .fetch_all()
    .await
}

/// Whom notes are handed to.
#[derive(Debug, Deserialize)]
pub(crate) struct HandOver {
    pub(crate) to: i32,
}

/// Gives all notes of one author to another; says how many. It runs as `db.transaction(…)`: where
/// another transaction gets in its way, all of it runs again.
pub(crate) fn hand_over(tx: &mut SqlTransaction, from: i32, to: i32) -> Result<u64> {
    let both = [from, to];
    let known =
        query_scalar!(tx, "SELECT count(*) FROM author WHERE id IN ({both})").fetch_one()?;
    if known < 2 {
        return Err(Error::new(NOT_FOUND, "there is no such author"));
    }
    let moved = execute!(
        tx,
        "UPDATE note SET author_id = {to} WHERE author_id = {from}"
    )?;
    execute!(
        tx,
        "UPDATE author SET notes = (SELECT count(*) FROM note WHERE author_id = author.id)
         WHERE id IN ({both})"
    )?;
    Ok(moved)
}
