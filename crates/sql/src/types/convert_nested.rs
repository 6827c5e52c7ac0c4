//! Arrays and JSON into Rust values and back.

use super::{Array, FromValue, Json, ToValue, Value};
use crate::{Error, Result, SqlState};

/// One-dimensional arrays. Elements may be NULL, so they are options.
impl<T: FromValue> FromValue for Vec<Option<T>> {
    fn from_value(value: &Value) -> Result<Vec<Option<T>>> {
        let Value::Array(array) = value else {
            return Err(unexpected(value, "an array"));
        };
        if array.dimensions().len() > 1 {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "cannot read an array of several dimensions as a list",
            )
            .hint("Read it as Value, or unnest it in the query."));
        }
        array.values().iter().map(Option::from_value).collect()
    }
}

impl<T: Into<Value>> From<Vec<Option<T>>> for Value {
    fn from(elements: Vec<Option<T>>) -> Value {
        let values = elements.into_iter().map(Value::from).collect();
        Value::Array(Box::new(Array::new(values)))
    }
}

/// `json` and `jsonb`.
impl FromValue for Json {
    fn from_value(value: &Value) -> Result<Json> {
        match value {
            Value::Json(text) => Json::parse(text),
            Value::Jsonb(json) => Ok((**json).clone()),
            _ => Err(unexpected(value, "Json")),
        }
    }
}

/// As `jsonb`.
impl From<Json> for Value {
    fn from(json: Json) -> Value {
        Value::Jsonb(Box::new(json))
    }
}

impl ToValue for Json {
    fn to_value(&self) -> Value {
        Value::from(self.clone())
    }
}

fn unexpected(value: &Value, wanted: &str) -> Error {
    let found = value.data_type().map_or_else(
        || "NULL".to_owned(),
        |data_type| format!("a value of type {data_type}"),
    );
    Error::new(
        SqlState::DATATYPE_MISMATCH,
        format!("cannot read {found} as {wanted}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_lists_of_options() {
        let list = vec![Some(1), None, Some(3)];
        let value = Value::from(list.clone());
        assert_eq!(Vec::<Option<i32>>::from_value(&value).unwrap(), list);
        assert!(Vec::<Option<i32>>::from_value(&Value::Int4(1)).is_err());
        assert!(Vec::<Option<String>>::from_value(&value).is_err());
    }

    #[test]
    fn both_kinds_of_json_are_read() {
        let json = Json::parse("{\"a\": [1, null]}").unwrap();
        assert_eq!(Json::from_value(&Value::from(json.clone())).unwrap(), json);
        let text = Value::Json("{\"a\":[1,null]}".into());
        assert_eq!(Json::from_value(&text).unwrap(), json);
    }
}
