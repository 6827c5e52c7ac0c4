//! What system relations and functions tell: the catalog and the state of the engine, as a
//! session sees them. The relations themselves are declared in [`crate::system`].

pub(crate) mod activity;
mod cells;
pub(crate) mod columns;
pub(crate) mod constraints;
pub(crate) mod definitions;
mod dependencies;
mod functions;
mod lookup;
pub(crate) mod names;
pub(crate) mod objects;
mod partitions;
pub(crate) mod privileges;
mod query_text;
pub(crate) mod relations;
mod session;
pub(crate) mod standard;
pub(crate) mod type_rows;
mod user_types;
mod view;

pub(crate) use cells::{Letter, Oid, float4s, int2_vector, int2s, name_array, oid_vector, texts};
pub(crate) use functions::resolve;
pub(crate) use session::SessionSystem;
pub(crate) use view::SystemView;

#[cfg(test)]
mod tests {
    use crate::{
        DataType, Database, Value,
        system::{self, SystemColumn},
    };

    fn database() -> Database {
        let database = Database::in_memory().unwrap();
        database
            .execute_script(
                "CREATE SCHEMA app;
                 CREATE TABLE parent (id int PRIMARY KEY, name text NOT NULL UNIQUE);
                 CREATE TABLE app.child (
                     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                     parent int REFERENCES parent ON DELETE CASCADE,
                     amount numeric(10, 2) DEFAULT 0 CHECK (amount >= 0),
                     tags text[],
                     doubled numeric GENERATED ALWAYS AS (amount * 2) STORED
                 ) WITH (fillfactor = 80);
                 CREATE INDEX child_amount ON app.child (amount DESC, lower(tags[1])) WHERE amount > 1;
                 CREATE VIEW rich AS SELECT id, amount FROM app.child WHERE amount > 100;
                 CREATE SEQUENCE numbers;
                 SELECT nextval('numbers');
                 INSERT INTO parent VALUES (1, 'one'), (2, 'two');
                 ANALYZE;
                 COMMENT ON TABLE parent IS 'Those above';
                 COMMENT ON DATABASE memory IS 'All of it'",
            )
            .unwrap();
        database
    }

    fn fits(value: &Value, column: &SystemColumn) -> bool {
        match (value, column.data_type) {
            (Value::Null, _) => true,
            (Value::Text(_), of) => of.is_string(),
            (Value::Object(_), DataType::Object(_)) => true,
            (Value::Array(array), of) => of.element().is_some_and(|element| {
                array.values().iter().all(|value| match value.data_type() {
                    Some(DataType::Text) => element.is_string(),
                    found => found == Some(element),
                })
            }),
            (value, of) => value.data_type() == Some(of),
        }
    }

    #[test]
    fn every_relation_gives_rows_of_its_columns_types() {
        let database = database();
        let session = database.session();
        let view = session.info.system_view().unwrap();
        let mut filled = Vec::new();
        for (schema, relation) in system::relations() {
            let mut count = 0;
            (relation.rows)(&view, None, &mut |row| {
                count += 1;
                assert_eq!(row.len(), relation.columns.len(), "{}", relation.name);
                for (value, column) in row.iter().zip(relation.columns) {
                    assert!(
                        fits(value, column),
                        "{schema}.{}.{}: {value:?}",
                        relation.name,
                        column.name
                    );
                }
                Ok(())
            })
            .unwrap();
            if count > 0 {
                filled.push(relation.name);
            }
        }
        for name in ["pg_class", "pg_constraint", "pg_depend", "columns", "waits"] {
            assert!(filled.contains(&name), "{name} is empty");
        }
    }

    #[test]
    fn numbers_outlive_the_process_and_other_changes() {
        let database = database();
        let numbers = |database: &Database| -> Vec<(u32, String)> {
            let view = database.session().info.system_view().unwrap();
            let relations = view.relations(None).into_iter();
            let constraints = view.constraints(None).into_iter();
            relations
                .map(|relation| (relation.oid, relation.name().into_owned()))
                .chain(constraints.map(|of| (of.oid(), of.name())))
                .collect()
        };
        let before = numbers(&database);
        database
            .execute("ALTER TABLE app.child ADD COLUMN note text DEFAULT 'x'", ())
            .unwrap();
        assert_eq!(numbers(&database), before);
        let mut distinct: Vec<u32> = before
            .iter()
            .filter(|(oid, _)| *oid >= crate::types::FIRST_USER_OID)
            .map(|(oid, _)| *oid)
            .collect();
        distinct.sort_unstable();
        // Keys are relations and constraints under one number.
        let all = distinct.len();
        distinct.dedup();
        assert_eq!(all - distinct.len(), 3);
    }
}
