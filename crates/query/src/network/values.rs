//! Values on the wire: parameters as their text, which the server reads as the type it needs;
//! columns in the binary form of their type.

use std::{error::Error as StdError, sync::Arc};

use bytes::BytesMut;
use rustling_sql::{
    DataType, Error, Result, ResultColumn, Row, SqlState, Value, binary,
    types::{Array, Dimension, Json},
};
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};

type Boxed = Box<dyn StdError + Sync + Send>;

/// A parameter's value.
#[derive(Debug)]
pub(crate) struct Parameter(pub(crate) Value);

impl ToSql for Parameter {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Boxed> {
        if self.0.is_null() {
            return Ok(IsNull::Yes);
        }
        out.extend_from_slice(self.0.to_string().as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// A column's value.
struct Cell(Value);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(data_type: &Type, raw: &'a [u8]) -> Result<Cell, Boxed> {
        Ok(Cell(read(data_type.oid(), raw)?))
    }

    fn from_sql_null(_: &Type) -> Result<Cell, Boxed> {
        Ok(Cell(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The columns of a result.
pub(crate) fn columns(of: &[tokio_postgres::Column]) -> Arc<[ResultColumn]> {
    of.iter()
        .map(|column| ResultColumn {
            name: column.name().to_owned(),
            data_type: DataType::from_oid(column.type_().oid()).unwrap_or(DataType::Text),
            nullable: true,
        })
        .collect()
}

/// A row that has come.
pub(crate) fn row(columns: &Arc<[ResultColumn]>, found: &tokio_postgres::Row) -> Result<Row> {
    let values = (0..found.len())
        .map(|at| {
            let cell: Cell = found
                .try_get(at)
                .map_err(|error| super::failed(error, ""))?;
            Ok(cell.0)
        })
        .collect::<Result<Vec<Value>>>()?;
    Ok(Row::new(Arc::clone(columns), values))
}

/// Reads a value of the type of that number; of a type that the engine does not know, as text.
fn read(oid: u32, raw: &[u8]) -> Result<Value> {
    match DataType::from_oid(oid).unwrap_or(DataType::Text) {
        DataType::Array(_) => read_array(raw),
        DataType::Json => match binary::text(raw)? {
            Value::Text(text) => Ok(Value::Json(text)),
            other => Ok(other),
        },
        DataType::Jsonb => {
            // A version, then the text.
            let [1, text @ ..] = raw else {
                return Err(malformed("jsonb"));
            };
            let text = std::str::from_utf8(text).map_err(|_| malformed("jsonb"))?;
            Ok(Value::Jsonb(Box::new(Json::parse(text)?)))
        }
        data_type => binary::read(raw, data_type),
    }
}

/// An array: the number of its dimensions, whether any element is NULL, the type of the elements,
/// length and first subscript of each dimension, and the elements behind their lengths.
fn read_array(raw: &[u8]) -> Result<Value> {
    let mut rest = raw;
    let mut word = || -> Result<i32> {
        let (word, after) = rest
            .split_first_chunk::<4>()
            .ok_or_else(|| malformed("array"))?;
        rest = after;
        Ok(i32::from_be_bytes(*word))
    };
    let count = usize::try_from(word()?).map_err(|_| malformed("array"))?;
    let _has_nulls = word()?;
    let element = word()?.cast_unsigned();
    // PostgreSQL's own limit.
    if count > 6 {
        return Err(malformed("array"));
    }
    let mut dimensions = Vec::with_capacity(count);
    let mut elements = usize::from(count > 0);
    for _ in 0..count {
        let length = word()?;
        let lower = word()?;
        elements = usize::try_from(length)
            .ok()
            .and_then(|length| elements.checked_mul(length))
            .ok_or_else(|| malformed("array"))?;
        dimensions.push(Dimension {
            length: u32::try_from(length).map_err(|_| malformed("array"))?,
            lower,
        });
    }
    // Each takes four bytes at least: a length that is a lie takes no memory.
    if elements > rest.len() / 4 {
        return Err(malformed("array"));
    }
    let mut values = Vec::with_capacity(elements);
    for _ in 0..elements {
        let (length, after) = rest
            .split_first_chunk::<4>()
            .ok_or_else(|| malformed("array"))?;
        rest = after;
        match usize::try_from(i32::from_be_bytes(*length)) {
            Err(_) => values.push(Value::Null),
            Ok(length) => {
                let (bytes, after) = rest
                    .split_at_checked(length)
                    .ok_or_else(|| malformed("array"))?;
                rest = after;
                values.push(read(element, bytes)?);
            }
        }
    }
    Array::with_dimensions(&dimensions, values)
        .map(|array| Value::Array(Box::new(array)))
        .ok_or_else(|| malformed("array"))
}

fn malformed(what: &str) -> Error {
    Error::new(
        SqlState("22P03"),
        format!("incorrect binary data format for type {what}"),
    )
}

#[cfg(test)]
mod tests {
    use rustling_sql::{DataType, Value};
    use tokio_postgres::types::Type;

    use super::{read, read_array};

    fn words(of: &[i32]) -> Vec<u8> {
        of.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn arrays_come_as_postgresql_sends_them() {
        let int4 = Type::INT4.oid().cast_signed();
        // As `SELECT array_send(…)` prints them: '{1,NULL}', '{}' and '[0:0][1:2]={{3,4}}'.
        let cases: [(&[i32], &str); 3] = [
            (&[1, 1, int4, 2, 1, 4, 1, -1], "{1,NULL}"),
            (&[0, 0, int4], "{}"),
            (&[2, 0, int4, 1, 0, 2, 1, 4, 3, 4, 4], "[0:0][1:2]={{3,4}}"),
        ];
        for (bytes, text) in cases {
            let expected = Value::parse(text, DataType::Int4.array().unwrap()).unwrap();
            let found = read(Type::INT4_ARRAY.oid(), &words(bytes)).unwrap();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn json_has_a_version_or_is_text() {
        let json = read(Type::JSONB.oid(), b"\x01{\"a\": 1}").unwrap();
        assert_eq!(json.to_string(), "{\"a\": 1}");
        let json = read(Type::JSON.oid(), b"[1]").unwrap();
        assert_eq!(json, Value::Json("[1]".into()));
        assert!(read(Type::JSONB.oid(), b"{}").is_err());
        assert!(read(Type::JSONB.oid(), b"").is_err());
    }

    #[test]
    fn arrays_that_lie_are_refused() {
        let int4 = Type::INT4.oid().cast_signed();
        let lies: [&[i32]; 7] = [
            &[],
            &[7, 0, int4],
            &[-1, 0, int4],
            &[1, 0, int4, i32::MAX, 1],
            &[1, 0, int4, -1, 1],
            &[2, 0, int4, i32::MAX, 1, i32::MAX, 1],
            &[1, 0, int4, 1, 1, 400],
        ];
        for lie in lies {
            assert!(read_array(&words(lie)).is_err(), "{lie:?}");
        }
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..random.usize(..60)).map(|_| random.u8(..)).collect();
            let _ = read_array(&bytes);
            for oid in [16, 17, 21, 25, 114, 700, 1082, 1700, 2950, 3802, 1007] {
                let _ = read(oid, &bytes);
            }
        }
    }
}
