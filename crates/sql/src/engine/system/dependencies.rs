//! What depends on what, as `pg_depend` lists it.

use crate::{
    catalog::{Table, TableId},
    engine::system::{
        SystemView,
        constraints::ConstraintKind,
        relations::{index_oid, primary_key_oid, sequence_oid},
    },
    system::oids,
};

/// One object depends on another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dependency {
    pub(crate) class: u32,
    pub(crate) object: u32,
    pub(crate) column: i32,
    pub(crate) referenced_class: u32,
    pub(crate) referenced: u32,
    pub(crate) referenced_column: i32,
    /// `a`utomatic: goes with it; `i`nternal: part of it; `n`ormal: keeps it.
    pub(crate) kind: char,
}

fn of_relation(object: u32, referenced: u32, referenced_column: i32, kind: char) -> Dependency {
    Dependency {
        class: oids::PG_CLASS,
        object,
        column: 0,
        referenced_class: oids::PG_CLASS,
        referenced,
        referenced_column,
        kind,
    }
}

fn number(column: u32) -> i32 {
    i32::try_from(column).unwrap_or(i32::MAX)
}

impl SystemView {
    /// What depends on what: indexes, constraints, defaults, sequences and views on tables, and
    /// all of them on their schemas.
    pub(crate) fn dependencies(&self) -> Vec<Dependency> {
        let mut all = Vec::new();
        for relation in self.tables() {
            let Some(table) = relation.table() else {
                continue;
            };
            all.push(Dependency {
                class: oids::PG_CLASS,
                object: relation.oid,
                column: 0,
                referenced_class: oids::PG_NAMESPACE,
                referenced: self.schema_oid(&table.schema),
                referenced_column: 0,
                kind: 'n',
            });
            self.add_parts(table, &mut all);
        }
        for constraint in self.constraints(None) {
            let parent = constraint.foreign_key().map(|key| key.parent);
            for column in constraint.column_numbers() {
                all.push(Dependency {
                    class: oids::PG_CONSTRAINT,
                    object: constraint.oid(),
                    column: 0,
                    referenced_class: oids::PG_CLASS,
                    referenced: constraint.table_oid(),
                    referenced_column: i32::from(column),
                    kind: 'a',
                });
            }
            if let Some(parent) = parent {
                all.push(Dependency {
                    class: oids::PG_CONSTRAINT,
                    object: constraint.oid(),
                    column: 0,
                    referenced_class: oids::PG_CLASS,
                    referenced: parent.oid(),
                    referenced_column: 0,
                    kind: 'n',
                });
            }
            if let ConstraintKind::PrimaryKey | ConstraintKind::Unique(_) = constraint.kind {
                all.push(Dependency {
                    class: oids::PG_CLASS,
                    object: constraint.oid(),
                    column: 0,
                    referenced_class: oids::PG_CONSTRAINT,
                    referenced: constraint.oid(),
                    referenced_column: 0,
                    kind: 'i',
                });
            }
        }
        for sequence in self.sequences() {
            if let Some((owner, column)) = sequence.owner {
                let kind = if self.is_identity(owner, sequence.id) {
                    'i'
                } else {
                    'a'
                };
                all.push(of_relation(
                    sequence_oid(&sequence),
                    owner.oid(),
                    number(column.0),
                    kind,
                ));
            }
        }
        all
    }

    fn is_identity(&self, table: TableId, sequence: crate::catalog::SequenceId) -> bool {
        self.catalog.handle(table).is_some_and(|handle| {
            handle
                .table
                .columns
                .iter()
                .any(|column| column.identity.is_some_and(|of| of.sequence == sequence))
        })
    }

    fn add_parts(&self, table: &Table, all: &mut Vec<Dependency>) {
        let oid = table.id.oid();
        for index in table.indexes.iter().filter(|index| !index.constraint) {
            for column in &index.columns {
                if let Some(of) = table.columns.get(column.ordinal) {
                    all.push(of_relation(index_oid(index), oid, number(of.number.0), 'a'));
                }
            }
        }
        if !table.primary_key.is_empty() {
            for ordinal in &table.primary_key {
                if let Some(of) = table.columns.get(*ordinal) {
                    let key = primary_key_oid(table);
                    all.push(of_relation(key, oid, number(of.number.0), 'a'));
                }
            }
        }
        for column in &table.columns {
            if column.default.is_some() || column.generated.is_some() {
                all.push(Dependency {
                    class: oids::PG_ATTRDEF,
                    object: column.default_oid,
                    column: 0,
                    referenced_class: oids::PG_CLASS,
                    referenced: oid,
                    referenced_column: number(column.number.0),
                    kind: 'a',
                });
            }
        }
        if let Some(view) = table.view() {
            // The rule that a view is.
            let rule = |referenced: u32, kind: char| Dependency {
                class: oids::PG_REWRITE,
                object: oid,
                column: 0,
                referenced_class: oids::PG_CLASS,
                referenced,
                referenced_column: 0,
                kind,
            };
            all.push(rule(oid, 'i'));
            all.extend(view.reads.iter().map(|id| rule(id.oid(), 'n')));
        }
    }
}
