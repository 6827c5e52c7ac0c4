//! Constraints, as `pg_constraint` lists them.

use std::sync::Arc;

use crate::{
    Value,
    catalog::{Check, Deferral, ForeignKey, Index, ReferentialAction, Table},
    engine::{
        system::{
            SystemView,
            relations::{index_oid, primary_key_name, primary_key_oid},
        },
        table::TableHandle,
    },
};

/// A constraint of a table.
#[derive(Clone, Debug)]
pub(crate) struct Constraint {
    pub(crate) handle: Arc<TableHandle>,
    pub(crate) kind: ConstraintKind,
}

/// Which constraint of its table it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConstraintKind {
    /// PRIMARY KEY.
    PrimaryKey,
    /// UNIQUE: the index at that place.
    Unique(usize),
    /// CHECK at that place.
    Check(usize),
    /// FOREIGN KEY at that place.
    ForeignKey(usize),
}

/// A foreign key with the table that it leads to.
pub(crate) struct ForeignKeyParts<'a> {
    pub(crate) key: &'a ForeignKey,
    pub(crate) parent: Option<Arc<TableHandle>>,
}

/// How the catalog writes an action.
pub(crate) fn action_letter(action: ReferentialAction) -> char {
    match action {
        ReferentialAction::NoAction => 'a',
        ReferentialAction::Restrict => 'r',
        ReferentialAction::Cascade => 'c',
        ReferentialAction::SetNull => 'n',
        ReferentialAction::SetDefault => 'd',
    }
}

/// How SQL writes an action.
pub(crate) fn action_words(action: ReferentialAction) -> &'static str {
    match action {
        ReferentialAction::NoAction => "NO ACTION",
        ReferentialAction::Restrict => "RESTRICT",
        ReferentialAction::Cascade => "CASCADE",
        ReferentialAction::SetNull => "SET NULL",
        ReferentialAction::SetDefault => "SET DEFAULT",
    }
}

/// The numbers of columns by their ordinals.
pub(crate) fn column_numbers(table: &Table, ordinals: &[usize]) -> Vec<i16> {
    ordinals
        .iter()
        .filter_map(|ordinal| table.columns.get(*ordinal))
        .map(|column| i16::try_from(column.number.0).unwrap_or(i16::MAX))
        .collect()
}

impl Constraint {
    fn table(&self) -> &Table {
        &self.handle.table
    }

    /// The table's number.
    pub(crate) fn table_oid(&self) -> u32 {
        self.table().id.oid()
    }

    pub(crate) fn schema(&self) -> &str {
        &self.table().schema
    }

    pub(crate) fn table_name(&self) -> &str {
        &self.table().name
    }

    fn index(&self) -> Option<&Index> {
        match self.kind {
            ConstraintKind::Unique(at) => self.table().indexes.get(at),
            _ => None,
        }
    }

    pub(crate) fn check(&self) -> Option<&Check> {
        match self.kind {
            ConstraintKind::Check(at) => self.table().checks.get(at),
            _ => None,
        }
    }

    pub(crate) fn foreign_key(&self) -> Option<&ForeignKey> {
        match self.kind {
            ConstraintKind::ForeignKey(at) => self.table().foreign_keys.get(at),
            _ => None,
        }
    }

    /// Its number.
    pub(crate) fn oid(&self) -> u32 {
        let oid = match self.kind {
            ConstraintKind::PrimaryKey => primary_key_oid(self.table()),
            ConstraintKind::Unique(_) => self.index().map_or(0, index_oid),
            ConstraintKind::Check(_) => self.check().map_or(0, |check| check.oid),
            ConstraintKind::ForeignKey(_) => self.foreign_key().map_or(0, |key| key.oid),
        };
        match (oid, self.kind) {
            // Of a definition from before constraints had numbers.
            (0, ConstraintKind::Check(at)) => 0x9000_0000 | self.table().id.0 << 10 | at as u32,
            (0, ConstraintKind::ForeignKey(at)) => {
                0xa000_0000 | self.table().id.0 << 10 | at as u32
            }
            (oid, _) => oid,
        }
    }

    pub(crate) fn name(&self) -> String {
        match self.kind {
            ConstraintKind::PrimaryKey => primary_key_name(self.table()).into_owned(),
            ConstraintKind::Unique(_) => {
                self.index().map_or_else(String::new, |of| of.name.clone())
            }
            ConstraintKind::Check(_) => self.check().map_or_else(String::new, |of| of.name.clone()),
            ConstraintKind::ForeignKey(_) => self
                .foreign_key()
                .map_or_else(String::new, |of| of.name.clone()),
        }
    }

    /// `contype`
    pub(crate) fn letter(&self) -> char {
        match self.kind {
            ConstraintKind::PrimaryKey => 'p',
            ConstraintKind::Unique(_) => 'u',
            ConstraintKind::Check(_) => 'c',
            ConstraintKind::ForeignKey(_) => 'f',
        }
    }

    /// What the standard calls it.
    pub(crate) fn words(&self) -> &'static str {
        match self.kind {
            ConstraintKind::PrimaryKey => "PRIMARY KEY",
            ConstraintKind::Unique(_) => "UNIQUE",
            ConstraintKind::Check(_) => "CHECK",
            ConstraintKind::ForeignKey(_) => "FOREIGN KEY",
        }
    }

    pub(crate) fn deferral(&self) -> Deferral {
        self.foreign_key()
            .map_or(Deferral::Never, |key| key.deferral)
    }

    pub(crate) fn validated(&self) -> bool {
        match self.kind {
            ConstraintKind::Check(_) => self.check().is_none_or(|check| check.validated),
            ConstraintKind::ForeignKey(_) => self.foreign_key().is_none_or(|key| key.validated),
            _ => true,
        }
    }

    /// The ordinals of the columns that it is on.
    pub(crate) fn ordinals(&self) -> Vec<usize> {
        match self.kind {
            ConstraintKind::PrimaryKey => self.table().primary_key.clone(),
            ConstraintKind::Unique(_) => self.index().map_or_else(Vec::new, |index| {
                index.columns.iter().map(|column| column.ordinal).collect()
            }),
            ConstraintKind::Check(_) => {
                let mut ordinals: Vec<usize> = self
                    .check()
                    .map(|check| columns_read(&check.predicate))
                    .unwrap_or_default();
                ordinals.sort_unstable();
                ordinals.dedup();
                ordinals
            }
            ConstraintKind::ForeignKey(_) => self
                .foreign_key()
                .map_or_else(Vec::new, |key| key.columns.clone()),
        }
    }

    /// The numbers of the columns that it is on.
    pub(crate) fn column_numbers(&self) -> Vec<i16> {
        column_numbers(self.table(), &self.ordinals())
    }

    /// The names of the columns that it is on.
    pub(crate) fn column_names(&self) -> Vec<String> {
        self.ordinals()
            .iter()
            .filter_map(|ordinal| self.table().columns.get(*ordinal))
            .map(|column| column.name.clone())
            .collect()
    }

    /// A foreign key with the table that it leads to.
    pub(crate) fn reference(&self, view: &SystemView) -> Option<ForeignKeyParts<'_>> {
        let key = self.foreign_key()?;
        Some(ForeignKeyParts {
            key,
            parent: view.catalog.handle(key.parent),
        })
    }

    /// The number of the index that keeps it: its own, or that of the key it leads to.
    pub(crate) fn index_oid(&self, view: &SystemView) -> u32 {
        match self.kind {
            ConstraintKind::PrimaryKey | ConstraintKind::Unique(_) => self.oid(),
            ConstraintKind::Check(_) => 0,
            ConstraintKind::ForeignKey(_) => self
                .reference(view)
                .and_then(|reference| reference.unique(view))
                .map_or(0, |unique| unique.oid()),
        }
    }
}

/// The ordinals of the columns that a condition reads.
fn columns_read(expr: &crate::bound::Expr) -> Vec<usize> {
    let mut found = Vec::new();
    let mut rest = vec![expr];
    while let Some(expr) = rest.pop() {
        if let crate::bound::ExprKind::Column(id) = &expr.kind {
            found.push(id.0 as usize);
        }
        rest.extend(expr.operands());
    }
    found
}

impl ForeignKeyParts<'_> {
    /// The numbers of the parent's columns.
    pub(crate) fn parent_numbers(&self) -> Vec<i16> {
        self.key
            .parent_columns
            .iter()
            .map(|number| i16::try_from(number.0).unwrap_or(i16::MAX))
            .collect()
    }

    /// The names of the parent's columns.
    pub(crate) fn parent_columns(&self) -> Vec<String> {
        let Some(parent) = &self.parent else {
            return Vec::new();
        };
        self.key
            .parent_columns
            .iter()
            .filter_map(|number| parent.table.ordinal(*number))
            .filter_map(|ordinal| parent.table.columns.get(ordinal))
            .map(|column| column.name.clone())
            .collect()
    }

    /// The parent's constraint that makes the columns a key.
    pub(crate) fn unique(&self, view: &SystemView) -> Option<Constraint> {
        let parent = self.parent.as_ref()?;
        let mut wanted = self.parent_numbers();
        wanted.sort_unstable();
        view.constraints_of(parent).into_iter().find(|constraint| {
            let mut numbers = constraint.column_numbers();
            numbers.sort_unstable();
            matches!(
                constraint.kind,
                ConstraintKind::PrimaryKey | ConstraintKind::Unique(_)
            ) && numbers == wanted
        })
    }
}

/// What the catalog says of a foreign key; of other constraints, nothing.
pub(crate) struct KeyFigures {
    pub(crate) parent: u32,
    pub(crate) on_update: char,
    pub(crate) on_delete: char,
    pub(crate) matching: char,
    pub(crate) columns: Option<Vec<i16>>,
    pub(crate) set_columns: Option<Vec<i16>>,
}

/// The constraints of all tables, or of one, each with what is said of a foreign key.
pub(crate) fn with_keys(
    view: &SystemView,
    only: Option<&Value>,
) -> impl Iterator<Item = (Constraint, KeyFigures)> {
    view.constraints(only).into_iter().map(move |constraint| {
        let figures = match constraint.reference(view) {
            None => KeyFigures {
                parent: 0,
                on_update: ' ',
                on_delete: ' ',
                matching: ' ',
                columns: None,
                set_columns: None,
            },
            Some(reference) => KeyFigures {
                parent: reference.key.parent.oid(),
                on_update: action_letter(reference.key.on_update),
                on_delete: action_letter(reference.key.on_delete),
                matching: if reference.key.match_full { 'f' } else { 's' },
                columns: Some(reference.parent_numbers()),
                set_columns: (!reference.key.set_columns.is_empty())
                    .then(|| column_numbers(&constraint.handle.table, &reference.key.set_columns)),
            },
        };
        (constraint, figures)
    })
}

impl SystemView {
    /// The constraints of a table.
    pub(crate) fn constraints_of(&self, handle: &Arc<TableHandle>) -> Vec<Constraint> {
        let table = &handle.table;
        let mut kinds = Vec::new();
        if !table.primary_key.is_empty() {
            kinds.push(ConstraintKind::PrimaryKey);
        }
        for (at, index) in table.indexes.iter().enumerate() {
            if index.constraint {
                kinds.push(ConstraintKind::Unique(at));
            }
        }
        kinds.extend((0..table.checks.len()).map(ConstraintKind::Check));
        kinds.extend((0..table.foreign_keys.len()).map(ConstraintKind::ForeignKey));
        kinds
            .into_iter()
            .map(|kind| Constraint {
                handle: Arc::clone(handle),
                kind,
            })
            .collect()
    }

    /// The constraints of all tables, or of the one with that number.
    pub(crate) fn constraints(&self, only: Option<&Value>) -> Vec<Constraint> {
        let only = only.and_then(Value::as_integer);
        self.catalog
            .handles()
            .filter(|handle| only.is_none_or(|only| only == i64::from(handle.table.id.oid())))
            .flat_map(|handle| self.constraints_of(handle))
            .collect()
    }

    /// The constraint with that number.
    pub(crate) fn constraint(&self, oid: u32) -> Option<Constraint> {
        self.constraints(None)
            .into_iter()
            .find(|constraint| constraint.oid() == oid)
    }
}
