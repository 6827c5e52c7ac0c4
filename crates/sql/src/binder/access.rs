//! Collects what a statement needs the right to do. Whether somebody has the right is asked when
//! the statement is run: one plan serves every role.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use super::{Binder, scope::ScopeColumn};
use crate::{
    bound::{AccessCheck, Assignment, ColumnId, ColumnIds, Needed, TableLock},
    catalog::{Table, TableId, access::Privileges, named_type::TypeId},
};

/// A relation whose columns may be read.
#[derive(Debug)]
struct Readable {
    table: Arc<Table>,
    columns: Vec<ColumnId>,
    /// Whether it counts as read where none of its columns is.
    always: bool,
}

/// What was found out so far.
#[derive(Debug, Default)]
pub(super) struct Collected {
    needed: Needed,
    /// What stands below views WITH (`security_invoker`): asked of the current user, whatever
    /// views are around these.
    of_invoker: Vec<AccessCheck>,
    readable: Vec<Readable>,
    read: RefCell<ColumnIds>,
    /// The named types that are used.
    types: RefCell<Vec<TypeId>>,
    /// What columns were called before a projection gave them other ids.
    renamed: HashMap<ColumnId, ColumnId>,
    /// Tables that are changed through views, and these, outermost first.
    behind: Vec<(Arc<Table>, Vec<Arc<Table>>)>,
}

impl Collected {
    /// Takes note that a column is read.
    pub(super) fn read(&self, id: ColumnId) {
        self.read.borrow_mut().insert(id);
    }

    /// Takes note of a named type that is used.
    pub(super) fn uses_type(&self, id: TypeId) {
        let mut types = self.types.borrow_mut();
        if !types.contains(&id) {
            types.push(id);
        }
    }

    /// Takes note that `new` is another id of the column `old`.
    pub(super) fn rename(&mut self, new: ColumnId, old: ColumnId) {
        self.renamed.insert(new, old);
    }

    /// Takes note of a function that is called.
    pub(super) fn call(&mut self, name: &str) {
        if !self.needed.functions.iter().any(|known| known == name) {
            self.needed.functions.push(name.to_owned());
        }
    }

    /// Takes note that `table` stands behind `views`, outermost first: its columns go by the names
    /// that they have in the outermost. What is done to it is asked of that view; the views below and
    /// the table itself are asked on behalf of the owner of the view above.
    pub(super) fn behind(&mut self, table: &Arc<Table>, views: &[Arc<Table>]) {
        if !views.is_empty() {
            self.behind.push((Arc::clone(table), views.to_vec()));
        }
    }

    /// Takes note of a privilege on the columns with these ordinals, or (`None`) on the whole.
    fn need(&mut self, table: &Arc<Table>, privilege: Privileges, ordinals: Option<&[usize]>) {
        let behind = self
            .behind
            .iter()
            .find(|(known, _)| Arc::ptr_eq(known, table));
        let columns = ordinals.map(|ordinals| {
            ordinals
                .iter()
                .filter_map(|ordinal| table.columns.get(*ordinal))
        });
        let numbers = |columns: Vec<&crate::catalog::Column>| {
            columns.into_iter().map(|column| column.number).collect()
        };
        let mut through = None;
        for view in behind.map_or(&[][..], |(_, views)| views) {
            // Only the outermost view's names are those of the table.
            let named = columns.clone().filter(|_| through.is_none());
            self.needed.tables.push(AccessCheck {
                table: Arc::clone(view),
                privilege,
                columns: named.map(|columns| {
                    numbers(
                        columns
                            .filter_map(|column| view.columns.get(view.column(&column.name)?))
                            .collect(),
                    )
                }),
                through,
            });
            through = Some(view.id);
        }
        self.needed.tables.push(AccessCheck {
            table: Arc::clone(table),
            privilege,
            columns: columns.map(|columns| numbers(columns.collect())),
            through,
        });
    }

    /// Takes over what the query of a view needs, on behalf of its owner.
    pub(super) fn within_view(&mut self, view: TableId, inner: Collected) {
        let (inner, of_invoker) = inner.settle();
        self.of_invoker.extend(of_invoker);
        self.needed
            .tables
            .extend(inner.tables.into_iter().map(|check| AccessCheck {
                through: check.through.or(Some(view)),
                ..check
            }));
        for id in inner.types {
            self.uses_type(id);
        }
        for function in inner.functions {
            self.call(&function);
        }
    }

    /// Takes over what the query of a view needs that whoever uses it must have the right to
    /// (`security_invoker`).
    pub(super) fn within_invoker_view(&mut self, inner: Collected) {
        let (inner, of_invoker) = inner.settle();
        self.of_invoker.extend(of_invoker);
        for check in inner.tables {
            match check.through {
                Some(_) => self.needed.tables.push(check),
                None => self.of_invoker.push(check),
            }
        }
        for id in inner.types {
            self.uses_type(id);
        }
        for function in inner.functions {
            self.call(&function);
        }
    }

    /// All that is needed.
    pub(super) fn finish(self) -> Needed {
        let (mut needed, of_invoker) = self.settle();
        needed.tables.extend(of_invoker);
        needed
    }

    /// What is needed, and what of it is asked of the current user in any case.
    fn settle(mut self) -> (Needed, Vec<AccessCheck>) {
        let named = self.read.take();
        let mut read = ColumnIds::with_capacity_and_hasher(named.len(), Default::default());
        for mut id in named {
            // As long a chain as there are names.
            for _ in 0..=self.renamed.len() {
                read.insert(id);
                match self.renamed.get(&id) {
                    Some(before) => id = *before,
                    None => break,
                }
            }
        }
        for relation in std::mem::take(&mut self.readable) {
            let ordinals: Vec<usize> = relation
                .columns
                .iter()
                .zip(&relation.table.columns)
                .enumerate()
                .filter(|(_, (id, _))| read.contains(id))
                .map(|(ordinal, _)| ordinal)
                .collect();
            if relation.always || !ordinals.is_empty() {
                self.need(&relation.table, Privileges::SELECT, Some(&ordinals));
            }
        }
        self.needed.types = self.types.into_inner();
        (self.needed, self.of_invoker)
    }
}

/// The privileges of which one is needed to lock a table so (PostgreSQL's manual, LOCK).
pub(super) fn to_lock(mode: TableLock) -> Privileges {
    let changes = Privileges::UPDATE
        .with(Privileges::DELETE)
        .with(Privileges::TRUNCATE);
    match mode {
        TableLock::AccessShare => changes.with(Privileges::SELECT),
        TableLock::RowExclusive => changes.with(Privileges::INSERT),
        _ => changes,
    }
}

impl<'a> Binder<'a> {
    /// Takes note of a relation that is read, column by column.
    pub(super) fn note_read(&mut self, table: &Arc<Table>, columns: &[ScopeColumn]) {
        let columns = columns.iter().map(|column| column.id).collect();
        self.note_readable(table, columns, true);
    }

    /// Takes note of a relation whose columns may be read: those that are.
    pub(super) fn note_readable(
        &mut self,
        table: &Arc<Table>,
        columns: Vec<ColumnId>,
        always: bool,
    ) {
        self.access.readable.push(Readable {
            table: Arc::clone(table),
            columns,
            always,
        });
    }

    /// Takes note that columns of a table are set.
    pub(super) fn note_updated(&mut self, table: &Arc<Table>, assignments: &[Assignment]) {
        let ordinals: Vec<usize> = assignments
            .iter()
            .map(|assignment| assignment.ordinal)
            .collect();
        self.note_need(table, Privileges::UPDATE, Some(&ordinals));
    }

    /// Takes note of a privilege that is needed on the columns with these ordinals, or (`None`)
    /// on the whole table.
    pub(super) fn note_need(
        &mut self,
        table: &Arc<Table>,
        privilege: Privileges,
        ordinals: Option<&[usize]>,
    ) {
        self.access.need(table, privilege, ordinals);
    }
}
