//! A field's text as a value of its column's type.

use rustling_sql::{DataType, Value};

use crate::{error::Reason, text};

/// What means NULL, and the types to read.
#[derive(Clone, Debug)]
pub(crate) struct Converter {
    nulls: Vec<Vec<u8>>,
}

impl Converter {
    /// `nulls`: the texts that mean NULL where they stand without quotes.
    pub(crate) fn new(nulls: &[String]) -> Converter {
        Converter {
            nulls: nulls.iter().map(|null| null.as_bytes().to_vec()).collect(),
        }
    }

    /// Whether an unquoted field is NULL.
    pub(crate) fn is_null(&self, field: &[u8]) -> bool {
        self.nulls.iter().any(|null| null == field)
    }

    /// The value of a field. Quick readers take the plain spellings; everything else goes through
    /// the full input syntax of SQL.
    pub(crate) fn value(
        &self,
        field: &[u8],
        quoted: bool,
        data_type: DataType,
    ) -> Result<Value, Reason> {
        if !quoted && self.is_null(field) {
            return Ok(Value::Null);
        }
        let quick = match data_type {
            DataType::Int8 => text::integer(field).map(Value::Int8),
            DataType::Int4 => text::integer(field)
                .and_then(|value| value.try_into().ok())
                .map(Value::Int4),
            DataType::Int2 => text::integer(field)
                .and_then(|value| value.try_into().ok())
                .map(Value::Int2),
            DataType::Boolean => text::boolean(field).map(Value::Boolean),
            DataType::Date => text::date(field).map(Value::Date),
            DataType::Time => text::time(field).map(Value::Time),
            DataType::Timestamp => text::timestamp(field)
                .filter(|read| !read.zoned)
                .map(|read| Value::Timestamp(read.micros)),
            // A timestamp without a zone is in the session's, which a load leaves at UTC.
            DataType::TimestampTz => {
                text::timestamp(field).map(|read| Value::TimestampTz(read.micros))
            }
            _ => None,
        };
        if let Some(value) = quick {
            return Ok(value);
        }
        let text =
            std::str::from_utf8(field).map_err(|error| Reason::NotUtf8(error.valid_up_to() + 1))?;
        Value::parse(text, data_type).map_err(|error| Reason::Value(error.message().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use rustling_sql::{DataType, Value};

    use super::Converter;

    fn check(text: &str, quoted: bool, data_type: DataType, expected: Option<Value>) {
        let converter = Converter::new(&["NA".into(), String::new()]);
        assert_eq!(
            converter.value(text.as_bytes(), quoted, data_type).ok(),
            expected,
            "{text:?} as {data_type}"
        );
    }

    #[test]
    fn null_markers_count_only_without_quotes() {
        check("NA", false, DataType::Int4, Some(Value::Null));
        check("", false, DataType::Text, Some(Value::Null));
        check("", true, DataType::Text, Some(Value::Text("".into())));
        check("NA", true, DataType::Text, Some(Value::Text("NA".into())));
        check("NA", true, DataType::Int4, None);
    }

    #[test]
    fn every_spelling_of_sql_is_taken() {
        check("12", false, DataType::Int2, Some(Value::Int2(12)));
        check(" +12 ", false, DataType::Int4, Some(Value::Int4(12)));
        check("yes", false, DataType::Boolean, Some(Value::Boolean(true)));
        check(
            "January 8, 1999",
            false,
            DataType::Date,
            Some(Value::Date(10_599)),
        );
        check("1e3", false, DataType::Float8, Some(Value::Float8(1000.0)));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        check("40000", false, DataType::Int2, None);
        check("x", false, DataType::Float8, None);
        check("2013-02-30", false, DataType::Date, None);
        check("abc", false, DataType::Varchar(Some(2)), None);
    }

    /// The quick readers and the full syntax must not differ where both take a text.
    #[test]
    fn quick_readers_agree_with_sql() {
        for (text, data_type) in [
            ("2013-01-01T10:00:00Z", DataType::TimestampTz),
            ("2013-06-30 23:59:59.123456+05:30", DataType::TimestampTz),
            ("2013-06-30 23:59", DataType::Timestamp),
            ("0001-01-01", DataType::Date),
            ("9999-12-31", DataType::Date),
            ("23:59:59.5", DataType::Time),
            ("-9223372036854775808", DataType::Int8),
            ("TRUE", DataType::Boolean),
        ] {
            check(text, false, data_type, Value::parse(text, data_type).ok());
        }
    }
}
