//! A statement's text with its values.

use std::borrow::Cow;

use rustling_sql::Value;

/// A statement's text with the values of its parameters, `$1` first.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    text: Cow<'static, str>,
    values: Vec<Value>,
}

impl Statement {
    /// A statement of one text.
    #[must_use]
    pub fn fixed(text: &'static str, values: Vec<Value>) -> Statement {
        Statement {
            text: Cow::Borrowed(text),
            values,
        }
    }

    /// A statement to be put together.
    #[must_use]
    pub fn empty() -> Statement {
        Statement::fixed("", Vec::new())
    }

    /// Adds text, which only the program's own source has: values cannot get in here.
    pub fn push_text(&mut self, text: &'static str) {
        self.text.to_mut().push_str(text);
    }

    /// Adds a parameter.
    pub fn push_value(&mut self, value: Value) {
        self.values.push(value);
        let number = format!("${}", self.values.len());
        self.text.to_mut().push_str(&number);
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    pub(crate) fn into_parts(self) -> (Cow<'static, str>, Vec<Value>) {
        (self.text, self.values)
    }
}
