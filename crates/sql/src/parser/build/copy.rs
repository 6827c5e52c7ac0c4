//! COPY.

use super::{Builder, Node, broken, child, children};
use crate::{
    ast::{Copy, CopyDirection, CopyOption, CopyPlace, CopySubject, CopyValue, Ident},
    error::Result,
    parser::grammar::Rule,
    span::Span,
};

impl Builder<'_> {
    pub(super) fn copy(&self, node: Node<'_>) -> Result<Copy> {
        let mut query = None;
        let mut table = None;
        let mut columns = None;
        let mut direction = CopyDirection::To;
        let mut place = CopyPlace::Client;
        let mut options = Vec::new();
        let mut filter = None;
        for part in children(node) {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::copy_query => {
                    let statement = self.any_statement(child(part, "COPY's query")?)?;
                    query = Some(Box::new(statement));
                }
                Rule::copy_binary => options.push(binary(span)),
                Rule::qualified_name => table = Some(self.object_name(part)?),
                Rule::column_names => columns = Some(self.column_names(part)?),
                Rule::copy_from => direction = CopyDirection::From,
                Rule::copy_to | Rule::copy_client => {}
                Rule::copy_program => {
                    place = CopyPlace::Program(self.string(child(part, "a program")?)?);
                }
                Rule::string => place = CopyPlace::File(self.string(part)?),
                Rule::copy_delimiters => {
                    let text = self.string(child(part, "a delimiter")?)?;
                    options.push(option("delimiter", CopyValue::String(text), span));
                }
                Rule::copy_options => {
                    for part in children(part) {
                        options.push(self.copy_option(part)?);
                    }
                }
                Rule::copy_word => options.push(self.copy_word(part)?),
                _ => filter = Some(self.expression(child(part, "WHERE")?)?),
            }
        }
        let subject = match (query, table) {
            (Some(query), _) => CopySubject::Query(query),
            (None, Some(table)) => CopySubject::Table { table, columns },
            (None, None) => return Err(broken("what COPY copies")),
        };
        Ok(Copy {
            subject,
            direction,
            place,
            options,
            filter,
        })
    }

    /// `name value` of the list in parentheses.
    fn copy_option(&self, node: Node<'_>) -> Result<CopyOption> {
        let mut name = None;
        let mut value = CopyValue::None;
        for part in children(node) {
            if part.as_rule() == Rule::label {
                name = Some(self.ident(part)?);
                continue;
            }
            let part = child(part, "an option's value")?;
            value = match part.as_rule() {
                Rule::copy_star => CopyValue::All,
                Rule::copy_list => {
                    let items = children(part).map(|item| {
                        let span = self.span(&item);
                        let item = child(item, "an item")?;
                        match item.as_rule() {
                            Rule::string => Ok(Ident {
                                name: self.string(item)?,
                                quoted: true,
                                span,
                            }),
                            _ => self.ident(item),
                        }
                    });
                    CopyValue::List(items.collect::<Result<_>>()?)
                }
                Rule::setting_number => CopyValue::Number(self.signed_number(&part)),
                Rule::string => CopyValue::String(self.string(part)?),
                _ => CopyValue::Word(self.ident(part)?),
            };
        }
        Ok(CopyOption {
            name: name.ok_or_else(|| broken("an option's name"))?,
            value,
        })
    }

    /// A word of the old form, as the option of the new one that it stands for.
    fn copy_word(&self, node: Node<'_>) -> Result<CopyOption> {
        let span = self.span(&node);
        let mut name = None;
        let mut value = CopyValue::None;
        for part in children(node) {
            match part.as_rule() {
                Rule::copy_flag | Rule::copy_setting => {
                    name = Some(self.text(&part).to_ascii_lowercase());
                }
                Rule::copy_force => {
                    let what = child(part, "what is forced")?;
                    name = Some(
                        match what.as_rule() {
                            Rule::force_quote => "force_quote",
                            Rule::force_not_null => "force_not_null",
                            _ => "force_null",
                        }
                        .to_owned(),
                    );
                }
                Rule::copy_star => value = CopyValue::All,
                Rule::copy_names => {
                    let names = children(part).map(|name| self.ident(name));
                    value = CopyValue::List(names.collect::<Result<_>>()?);
                }
                _ => value = CopyValue::String(self.string(part)?),
            }
        }
        Ok(match name.as_deref() {
            Some("binary") => binary(span),
            Some("csv") => format("csv", span),
            Some(name) => option(name, value, span),
            None => return Err(broken("an option's name")),
        })
    }
}

fn ident(name: &str, span: Span) -> Ident {
    Ident {
        name: name.to_owned(),
        quoted: false,
        span,
    }
}

fn option(name: &str, value: CopyValue, span: Span) -> CopyOption {
    CopyOption {
        name: ident(name, span),
        value,
    }
}

fn format(name: &str, span: Span) -> CopyOption {
    option("format", CopyValue::Word(ident(name, span)), span)
}

fn binary(span: Span) -> CopyOption {
    format("binary", span)
}
