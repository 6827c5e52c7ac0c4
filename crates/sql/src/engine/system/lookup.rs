//! From names, as SQL writes them, to numbers.

use crate::{
    Error, Result, SqlState,
    engine::system::{SystemView, names::type_name, objects, type_rows, user_types},
    system::oids,
    types::ObjectClass,
};

impl SystemView {
    /// The number of the object that a text names; a number stands for itself.
    ///
    /// # Errors
    /// What PostgreSQL says where there is no such object.
    pub(crate) fn lookup(&self, class: ObjectClass, text: &str) -> Result<u32> {
        let text = text.trim();
        if text == "-" {
            return Ok(0);
        }
        if let Ok(number) = text.parse::<u32>() {
            return Ok(number);
        }
        self.find(class, text)?.ok_or_else(|| missing(class, text))
    }

    /// As [`SystemView::lookup`]; `None` where there is no such object.
    ///
    /// # Errors
    /// Where the text is no name.
    pub(crate) fn find(&self, class: ObjectClass, text: &str) -> Result<Option<u32>> {
        if class == ObjectClass::Type {
            return Ok(self.type_oid(text));
        }
        if class == ObjectClass::Operator {
            return Ok(objects::operator_named(text));
        }
        let name = match class {
            ObjectClass::FunctionWithArguments => text.split('(').next().unwrap_or(text),
            _ => text,
        };
        let parts = crate::parser::parse_name(name)?;
        let (schema, name) = match parts.as_slice() {
            [name] => (None, name.as_str()),
            [schema, name] => (Some(schema.as_str()), name.as_str()),
            _ => return Ok(None),
        };
        Ok(match class {
            ObjectClass::Relation => self.find_relation(schema, name),
            ObjectClass::Schema => Some(self.schema_oid(name)).filter(|oid| *oid != 0),
            ObjectClass::Role => {
                let role = self.catalog.access.role_named(name);
                role.map(|role| role.id.0)
            }
            ObjectClass::Collation => match name {
                "default" => Some(oids::DEFAULT_COLLATION),
                "C" | "POSIX" => Some(oids::C_COLLATION),
                _ => None,
            },
            ObjectClass::Function => objects::functions_named(name)
                .next()
                .map(|of| of.oid)
                .or_else(|| type_rows::input_named(name)),
            ObjectClass::FunctionWithArguments => {
                let arguments = text
                    .split_once('(')
                    .and_then(|(_, rest)| rest.trim_end().strip_suffix(')'))
                    .unwrap_or("");
                let wanted: Vec<String> = arguments
                    .split(',')
                    .map(str::trim)
                    .filter(|argument| !argument.is_empty())
                    .map(|argument| {
                        self.type_oid(argument)
                            .and_then(|oid| type_name(oid, None))
                            .unwrap_or_else(|| argument.to_owned())
                    })
                    .collect();
                objects::functions_named(name)
                    .find(|function| function.argument_types() == wanted)
                    .map(|function| function.oid)
            }
            ObjectClass::Type | ObjectClass::Operator => None,
        })
    }

    /// The number of a type by its name in SQL.
    pub(crate) fn type_oid(&self, text: &str) -> Option<u32> {
        let name = crate::parser::parse_type(text).ok()?;
        let reader = self.catalog.with_path(&self.path);
        if let Some(named) = crate::binder::named_type(&name, &reader).ok()?
            && name.dimensions == 0
        {
            return Some(user_types::oid_of(&named));
        }
        let data_type = crate::binder::type_named(&name, &reader).ok()?;
        Some(data_type.oid())
    }

    /// The number of a relation of that name.
    pub(crate) fn find_relation(&self, schema: Option<&str>, name: &str) -> Option<u32> {
        let searched = self.searched(true);
        let schemas: Vec<&str> = match schema {
            Some(schema) => vec![schema],
            None => searched.iter().map(String::as_str).collect(),
        };
        schemas.into_iter().find_map(|schema| {
            if let Some(table) = crate::system::table(schema, name) {
                return Some(table.id.oid());
            }
            if let Some(handle) = self.catalog.find(Some(schema), name) {
                return Some(handle.table.id.oid());
            }
            if !self.catalog.has_relation(schema, name) {
                return None;
            }
            // An index or a sequence.
            self.relations(None)
                .into_iter()
                .find(|relation| relation.schema() == schema && relation.name() == name)
                .map(|relation| relation.oid)
        })
    }
}

fn missing(class: ObjectClass, text: &str) -> Error {
    let (state, what) = match class {
        ObjectClass::Relation => (SqlState::UNDEFINED_TABLE, "relation"),
        ObjectClass::Type => (SqlState::UNDEFINED_OBJECT, "type"),
        ObjectClass::Function | ObjectClass::FunctionWithArguments => {
            (SqlState::UNDEFINED_FUNCTION, "function")
        }
        ObjectClass::Operator => {
            return Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("operator does not exist: {text}"),
            );
        }
        ObjectClass::Schema => (SqlState("3F000"), "schema"),
        ObjectClass::Role => (SqlState::UNDEFINED_OBJECT, "role"),
        ObjectClass::Collation => {
            return Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("collation \"{text}\" for encoding \"UTF8\" does not exist"),
            );
        }
    };
    Error::new(state, format!("{what} \"{text}\" does not exist"))
}
