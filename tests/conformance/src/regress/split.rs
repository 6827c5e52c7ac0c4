//! Splitting a psql script into statements as psql does: at semicolons outside of quotes,
//! comments and parentheses, with its variables put in and its backslash commands left out.

use std::collections::HashMap;

/// A statement of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// The line it begins on, from 1.
    pub line: usize,
    /// Its text, without the semicolon; several joined by `\;` are one.
    pub parts: Vec<String>,
    /// The lines after `COPY … FROM STDIN`, without `\.`.
    pub copy_data: Option<Vec<String>>,
    /// `\copy table from 'file'`: the table and the file.
    pub client_copy: Option<(String, String)>,
}

impl Statement {
    /// The whole text.
    #[must_use]
    pub fn text(&self) -> String {
        self.parts.join("\\;")
    }

    /// The words it begins with, in upper case.
    #[must_use]
    pub fn starts_with(&self, words: &str) -> bool {
        let text = self.parts.first().map_or("", String::as_str).trim_start();
        text.get(..words.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(words))
    }
}

struct Splitter<'a> {
    rest: &'a str,
    line: usize,
    /// The environment of psql.
    environment: &'a HashMap<String, String>,
    /// Its variables.
    variables: HashMap<String, String>,
    /// The statement so far.
    statement: Statement,
    text: String,
    parentheses: usize,
    done: Vec<Statement>,
}

/// The statements of a script; `\getenv` finds `environment`.
#[must_use]
pub fn split(script: &str, environment: &HashMap<String, String>) -> Vec<Statement> {
    let mut splitter = Splitter {
        rest: script,
        line: 1,
        environment,
        variables: HashMap::new(),
        statement: Statement::default(),
        text: String::new(),
        parentheses: 0,
        done: Vec::new(),
    };
    while !splitter.rest.is_empty() {
        splitter.step();
    }
    splitter.done
}

impl<'a> Splitter<'a> {
    /// Takes the first `length` bytes.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.line += taken.matches('\n').count();
        taken
    }

    fn keep(&mut self, length: usize) {
        if self.text.is_empty() {
            self.statement.line = self.line;
        }
        let taken = self.take(length);
        self.text.push_str(taken);
    }

    fn step(&mut self) {
        let rest = self.rest;
        let first = rest.chars().next().unwrap_or(' ');
        match first {
            '-' if rest.starts_with("--") => {
                let length = rest.find('\n').unwrap_or(rest.len());
                self.take(length);
                if !self.text.is_empty() {
                    self.text.push(' ');
                }
            }
            '/' if rest.starts_with("/*") => {
                let length = comment_length(rest);
                self.take(length);
                if !self.text.is_empty() {
                    self.text.push(' ');
                }
            }
            '\'' => {
                let escapes = self.text.ends_with(['e', 'E'])
                    && !self
                        .text
                        .chars()
                        .rev()
                        .nth(1)
                        .is_some_and(|c| c.is_alphanumeric() || c == '_');
                self.keep(quoted_length(rest, '\'', escapes));
            }
            '"' => self.keep(quoted_length(rest, '"', false)),
            '$' => self.keep(dollar_length(rest)),
            '(' => {
                self.parentheses += 1;
                self.keep(1);
            }
            ')' => {
                self.parentheses = self.parentheses.saturating_sub(1);
                self.keep(1);
            }
            ';' if self.parentheses == 0 => {
                self.take(1);
                self.end_statement();
            }
            '\\' if rest.starts_with("\\;") => {
                self.take(2);
                let part = std::mem::take(&mut self.text);
                self.statement.parts.push(part);
            }
            '\\' => self.command(),
            ':' if rest.starts_with("::") => self.keep(2),
            ':' => self.variable(),
            c if c.is_whitespace() && self.text.is_empty() => {
                self.take(c.len_utf8());
            }
            c => self.keep(c.len_utf8()),
        }
    }

    fn end_statement(&mut self) {
        let text = std::mem::take(&mut self.text);
        let mut statement = std::mem::take(&mut self.statement);
        if text.trim().is_empty() && statement.parts.is_empty() {
            return;
        }
        let upper = text.to_ascii_uppercase();
        statement.parts.push(text);
        if upper.trim_start().starts_with("COPY")
            && ["FROM STDIN", "FROM STDOUT"]
                .iter()
                .any(|words| upper.contains(words))
        {
            let end_of_line = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
            self.take(end_of_line);
            let mut data = Vec::new();
            while !self.rest.is_empty() {
                let length = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
                let line = self.take(length).trim_end_matches('\n');
                if line == "\\." {
                    break;
                }
                data.push(line.to_owned());
            }
            statement.copy_data = Some(data);
        }
        self.done.push(statement);
    }

    /// A backslash command up to the end of its line.
    fn command(&mut self) {
        let line = self.line;
        let length = self.rest.find('\n').unwrap_or(self.rest.len());
        let command = self.take(length);
        let (name, arguments) = command
            .split_once(char::is_whitespace)
            .unwrap_or((command, ""));
        match name {
            "\\set" => {
                let mut words = self.arguments(arguments).into_iter();
                if let Some(name) = words.next() {
                    self.variables.insert(name, words.collect());
                }
            }
            "\\getenv" => {
                if let [name, key] = self.arguments(arguments).as_slice()
                    && let Some(value) = self.environment.get(key)
                {
                    self.variables.insert(name.clone(), value.clone());
                }
            }
            "\\copy" => {
                let words = self.arguments(arguments);
                if let [table, from, file] = words.as_slice()
                    && from.eq_ignore_ascii_case("from")
                {
                    self.done.push(Statement {
                        line,
                        client_copy: Some((table.clone(), file.clone())),
                        ..Statement::default()
                    });
                }
            }
            "\\g" | "\\gset" | "\\gexec" | "\\gdesc" => self.end_statement(),
            _ => {}
        }
    }

    /// The arguments of a command: words, 'quoted texts' and :variables.
    fn arguments(&self, text: &str) -> Vec<String> {
        let mut words = Vec::new();
        let mut rest = text.trim();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '\'' => quoted_length(rest, '\'', false),
                _ => rest
                    .find(|c: char| c.is_whitespace() || c == '\'')
                    .unwrap_or(rest.len()),
            };
            let (word, after) = rest.split_at(length);
            words.push(match word.strip_prefix(':') {
                Some(name) => self.variables.get(name).cloned().unwrap_or_default(),
                None => word.trim_matches('\'').replace("''", "'"),
            });
            rest = after.trim_start();
        }
        words
    }

    /// `:name`, `:'name'` or a colon on its own. A value is put back into the script, so that it
    /// may hold whole statements.
    fn variable(&mut self) {
        let rest = self.rest;
        let (quoted, name) = match rest.get(1..).and_then(|text| text.strip_prefix('\'')) {
            Some(text) => (true, text.split('\'').next().unwrap_or_default()),
            None => {
                let text = &rest[1..];
                let end = text
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(text.len());
                (false, &text[..end])
            }
        };
        let Some(value) = self.variables.get(name).cloned() else {
            self.keep(1);
            return;
        };
        if self.text.is_empty() {
            self.statement.line = self.line;
        }
        if quoted {
            self.take(name.len() + 3);
            self.text
                .push_str(&format!("'{}'", value.replace('\'', "''")));
            return;
        }
        self.take(name.len() + 1);
        // All but the last of several statements end here; the last is gone on with.
        let mut parts = split(&format!("{value};"), self.environment);
        let last = parts.pop();
        for part in parts {
            self.done.push(Statement {
                line: self.line,
                ..part
            });
        }
        if let Some(last) = last {
            self.text.push_str(&last.text());
        }
    }
}

/// The length of a quoted text, its quotes included.
fn quoted_length(text: &str, quote: char, escapes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if escapes && c == '\\' {
            characters.next();
        } else if c == quote {
            if characters.peek().is_some_and(|(_, next)| *next == quote) {
                characters.next();
            } else {
                return at + 1;
            }
        }
    }
    text.len()
}

/// The length of `$tag$ … $tag$`; 1 where no quote begins here.
fn dollar_length(text: &str) -> usize {
    let Some(end) = text[1..].find('$').map(|at| at + 2) else {
        return 1;
    };
    let tag = &text[..end];
    let inner = &tag[1..tag.len() - 1];
    let is_tag = !inner.starts_with(|c: char| c.is_ascii_digit())
        && inner.chars().all(|c| c.is_alphanumeric() || c == '_');
    if !is_tag {
        return 1;
    }
    text[end..]
        .find(tag)
        .map_or(text.len(), |at| end + at + tag.len())
}

/// The length of a comment with those nested in it.
fn comment_length(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(script: &str) -> Vec<String> {
        let environment = HashMap::from([("PG_LIBDIR".to_owned(), "/lib".to_owned())]);
        split(script, &environment)
            .iter()
            .map(Statement::text)
            .collect()
    }

    #[test]
    fn semicolons_end_statements() {
        assert_eq!(
            texts("SELECT ';' -- no;\n, \"a;b\";\n/* x; /* y; */ */ SELECT 2;"),
            ["SELECT ';'  \n, \"a;b\"", "SELECT 2"]
        );
        assert_eq!(
            texts("CREATE RULE r AS DO (a; b);"),
            ["CREATE RULE r AS DO (a; b)"]
        );
        assert_eq!(texts("SELECT $$a;b$$, $x$;$x$, $1;").len(), 1);
        assert_eq!(texts("SELECT E'\\';';SELECT 1;").len(), 2);
        assert_eq!(texts("SELECT 1\\; SELECT 2;"), ["SELECT 1\\;SELECT 2"]);
    }

    #[test]
    fn variables_are_put_in() {
        assert_eq!(
            texts(
                "\\getenv libdir PG_LIBDIR\n\\set f :libdir '/x'\nLOAD :'f';\nSELECT a::int, b[1:2];"
            ),
            ["LOAD '/lib/x'", "SELECT a::int, b[1:2]"]
        );
        assert_eq!(
            texts("\\set init 'TRUNCATE t; INSERT INTO t VALUES (''a'')'\n:init;"),
            ["TRUNCATE t", "INSERT INTO t VALUES ('a')"]
        );
    }

    #[test]
    fn copied_data_belongs_to_the_statement() {
        let found = split(
            "COPY t FROM stdin;\n1\t;\n\\.\nSELECT 1;\n\\d t\n",
            &HashMap::new(),
        );
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].copy_data, Some(vec!["1\t;".to_owned()]));
        assert_eq!(found[1].line, 4);
    }
}
