//! Who writes notes.

use rustling_query::{AsyncDatabase, QueryBuilder, Result};
use serde::{Deserialize, Serialize};

/// An author. The compiler holds the struct against `migrations/`: a field of another type than
/// its column, a missing one, or one that forgets NULL, is an error.
#[derive(Clone, Debug, QueryBuilder, Serialize)]
pub(crate) struct Author {
    id: i32,
    name: String,
    notes: i32,
}

/// What a new author gives.
#[derive(Debug, Deserialize)]
pub(crate) struct NewAuthor {
    name: String,
}

impl NewAuthor {
    pub(crate) async fn insert(self, db: &AsyncDatabase) -> Result<Author> {
        let author = Author {
            id: 0, // the database gives the number
            name: self.name,
            notes: 0,
        };
        author.insert(db).await
    }
}

/// All authors by name.
pub(crate) async fn all(db: &AsyncDatabase) -> Result<Vec<Author>> {
    Author::query()
        .order_by(Author::name().asc())
        .fetch_all(db)
        .await
}
