//! Values that serde knows, as JSON columns (feature `serde`).

use std::borrow::Cow;

use rustling_sql::{Error, FromValue, Result, SqlState, Value};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Parameter, sql_type, table::Field};

/// A value that is JSON in SQL: as a column's type (`AS "extra: JsonOf<Extra>"`), as a parameter
/// (`{JsonOf(&extra)}`), and what `#[query_builder(json)]` makes of a field.
///
/// ```
/// use rustling_query::{Database, JsonOf, execute, query_scalar};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Deserialize, PartialEq, Serialize)]
/// struct Gift {
///     to: String,
/// }
///
/// # fn main() -> rustling_query::Result<()> {
/// # let db = Database::in_memory()?;
/// # db.execute_script(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/migrations/0001_shop.sql")))?;
/// # execute!(db, "INSERT INTO customer (name) VALUES ('Ada')")?;
/// let gift = Gift { to: "Grace".into() };
/// execute!(
///     db,
///     "INSERT INTO orders (customer_id, total, extra) VALUES (1, 5, {JsonOf(&gift)})"
/// )?;
/// let found = query_scalar!(db, r#"SELECT extra AS "extra!: JsonOf<Gift>" FROM orders"#);
/// assert_eq!(found.fetch_one()?.0, gift);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JsonOf<T>(pub T);

impl<T: DeserializeOwned> FromValue for JsonOf<T> {
    fn from_value(value: &Value) -> Result<JsonOf<T>> {
        let text: Cow<'_, str> = match value {
            Value::Json(text) => Cow::Borrowed(text.as_str()),
            Value::Jsonb(json) => Cow::Owned(json.to_string()),
            _ => {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    "only values of the types json and jsonb can be read as JSON",
                ));
            }
        };
        serde_json::from_str(&text).map(JsonOf).map_err(|error| {
            Error::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!(
                    "the JSON cannot be read as {}: {error}",
                    std::any::type_name::<T>()
                ),
            )
        })
    }
}

/// What serde cannot write (a map whose keys are no strings) is no JSON here either: the statement
/// fails with 22P02 and says why.
fn text<T: Serialize>(of: &T) -> Result<String, Value> {
    serde_json::to_string(of)
        .map_err(|error| Value::from(format!("cannot be written as JSON: {error}").as_str()))
}

impl<T: Serialize> Parameter<sql_type::Json> for JsonOf<T> {
    fn value(&self) -> Value {
        match text(&self.0) {
            Ok(text) => Value::Json(text.into()),
            Err(refused) => refused,
        }
    }
}

impl<T: Serialize> Parameter<sql_type::Jsonb> for JsonOf<T> {
    fn value(&self) -> Value {
        match text(&self.0) {
            // serde_json nests as deep as the value does, the engine only so far.
            Ok(text) => match rustling_sql::types::Json::parse(&text) {
                Ok(json) => Value::Jsonb(Box::new(json)),
                Err(_) => Value::from(text.as_str()),
            },
            Err(refused) => refused,
        }
    }
}

impl<T: Serialize + DeserializeOwned> Field for JsonOf<T> {
    type Sql = sql_type::Jsonb;
    const SQL_TYPE: &'static str = "jsonb";
}
