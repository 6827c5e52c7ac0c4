//! What PostgreSQL answered: a text file beside each script.
//!
//! A statement's answer begins with `@ LINE SQLSTATE TAG`; SQLSTATE is 00000 where it succeeded,
//! TAG is empty for queries. Its rows follow, one per line after `>`, as COPY's text format has
//! them: tabs between columns, `\N` for NULL, `\n`, `\t` and `\\` escaped. `rows` in the tag's place tells an
//! empty result from none.

/// An answer to a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The line of the statement.
    pub line: usize,
    /// `00000` or what it failed with.
    pub state: String,
    /// `INSERT 0 1`; empty for queries and errors.
    pub tag: String,
    /// The rows, each as one line.
    pub rows: Option<Vec<String>>,
}

/// A value as a field of a line.
#[must_use]
pub fn field(value: Option<&str>) -> String {
    match value {
        None => "\\N".to_owned(),
        Some(text) => text
            .replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('\t', "\\t")
            .replace('\r', "\\r"),
    }
}

/// Reads a file of answers.
///
/// # Errors
/// The number of a line that is none.
pub fn parse(text: &str) -> Result<Vec<Answer>, usize> {
    let mut answers: Vec<Answer> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(header) = line.strip_prefix("@ ") {
            let mut words = header.splitn(3, ' ');
            let (Some(Ok(number)), Some(state)) = (words.next().map(str::parse), words.next())
            else {
                return Err(index + 1);
            };
            let tag = words.next().unwrap_or_default();
            let (tag, rows) = match tag.strip_prefix("rows") {
                Some(tag) => (tag.trim(), Some(Vec::new())),
                None => (tag, None),
            };
            answers.push(Answer {
                line: number,
                state: state.to_owned(),
                tag: tag.to_owned(),
                rows,
            });
        } else {
            let rows = answers.last_mut().and_then(|answer| answer.rows.as_mut());
            match (rows, line.strip_prefix('>')) {
                (Some(rows), Some(row)) => rows.push(row.to_owned()),
                _ => return Err(index + 1),
            }
        }
    }
    Ok(answers)
}

/// Writes answers as [`parse`] reads them.
#[must_use]
pub fn write(answers: &[Answer]) -> String {
    let mut text = String::new();
    for answer in answers {
        text.push_str(&format!("@ {} {}", answer.line, answer.state));
        if answer.rows.is_some() {
            text.push_str(" rows");
        }
        if !answer.tag.is_empty() {
            text.push(' ');
            text.push_str(&answer.tag);
        }
        text.push('\n');
        for row in answer.rows.iter().flatten() {
            text.push_str(&format!(">{row}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_survive_writing_and_reading() {
        let answers = vec![
            Answer {
                line: 1,
                state: "00000".to_owned(),
                tag: "INSERT 0 1".to_owned(),
                rows: Some(vec![format!("{}\t{}", field(None), field(Some("a\nb")))]),
            },
            Answer {
                line: 3,
                state: "22012".to_owned(),
                ..Answer::default()
            },
            Answer {
                line: 4,
                state: "00000".to_owned(),
                tag: String::new(),
                rows: Some(vec![String::new()]),
            },
        ];
        assert_eq!(parse(&write(&answers)), Ok(answers));
    }
}
