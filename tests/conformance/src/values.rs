//! Values as the corpora write them.

use rustling_sql::Value;

/// A value under a column type of sqllogictest: `I`, `R` or `T`.
pub(crate) fn sqllogictest(value: &Value, column_type: char) -> String {
    if value.is_null() {
        return "NULL".to_owned();
    }
    let text = value.to_string();
    match column_type {
        'I' => match value {
            Value::Boolean(truth) => i64::from(*truth).to_string(),
            Value::Float4(_) | Value::Float8(_) | Value::Decimal(_) => text
                .parse::<f64>()
                .map_or(text, |number| format!("{:.0}", number.trunc())),
            // As C reads an integer from a text.
            Value::Text(_) => {
                let digits = text
                    .strip_prefix('-')
                    .unwrap_or(&text)
                    .find(|c: char| !c.is_ascii_digit())
                    .map_or(text.as_str(), |end| {
                        text.get(..end + usize::from(text.starts_with('-')))
                            .unwrap_or_default()
                    });
                digits.parse::<i64>().unwrap_or(0).to_string()
            }
            _ => text,
        },
        'R' => text
            .parse::<f64>()
            .map_or(text, |number| format!("{number:.3}")),
        _ if text.is_empty() => "(empty)".to_owned(),
        _ => text
            .chars()
            .map(|c| if (' '..='~').contains(&c) { c } else { '@' })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_as_the_corpus_does() {
        assert_eq!(sqllogictest(&Value::Int4(-3), 'I'), "-3");
        assert_eq!(sqllogictest(&Value::Float8(-3.7), 'I'), "-3");
        assert_eq!(sqllogictest(&Value::Int4(2), 'R'), "2.000");
        assert_eq!(sqllogictest(&Value::Null, 'T'), "NULL");
        assert_eq!(sqllogictest(&Value::Text("".into()), 'T'), "(empty)");
        assert_eq!(sqllogictest(&Value::Text("a\nb".into()), 'T'), "a@b");
    }
}
