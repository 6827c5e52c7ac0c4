//! Calls of `has_table_privilege` and its like with numbers in the place of names.

use super::{Binder, coerce::is_object};
use crate::{
    bound::Expr,
    error::Result,
    types::{CastContext, DataType, ObjectClass},
};

impl Binder<'_> {
    /// The arguments of a function that asks for privileges, its numbers of objects and roles
    /// turned into their names.
    pub(super) fn name_objects(
        &mut self,
        function: &str,
        arguments: Vec<Expr>,
    ) -> Result<Vec<Expr>> {
        let (class, plain) = match function {
            "has_table_privilege" | "has_any_column_privilege" | "has_sequence_privilege" => {
                (ObjectClass::Relation, 2)
            }
            "has_column_privilege" => (ObjectClass::Relation, 3),
            "has_schema_privilege" => (ObjectClass::Schema, 2),
            "has_function_privilege" => (ObjectClass::FunctionWithArguments, 2),
            "pg_has_role" => (ObjectClass::Role, 2),
            _ => return Ok(arguments),
        };
        // A role may stand in front.
        let object = usize::from(arguments.len() > plain);
        arguments
            .into_iter()
            .enumerate()
            .map(|(at, argument)| {
                let class = match at {
                    at if at == object => class,
                    0 => ObjectClass::Role,
                    _ => return Ok(argument),
                };
                if !is_object(argument.data_type) && !argument.data_type.is_integer() {
                    return Ok(argument);
                }
                let reference =
                    self.coerce(argument, DataType::Object(class), CastContext::Explicit)?;
                self.coerce(reference, DataType::Text, CastContext::Explicit)
            })
            .collect()
    }
}
