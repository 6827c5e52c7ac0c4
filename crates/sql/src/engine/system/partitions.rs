//! Partitions and inheritance, as the catalog shows them.

use crate::{
    Value,
    catalog::{PartitionBound, PartitionStrategy, Partitioning, RangeEnd, Table},
    engine::system::{
        SystemView, columns, definitions::enclosed, names::quoted, relations::Part,
        relations::Relation,
    },
    types::ObjectClass,
};

/// A table that is part of another, or inherits from it.
pub(crate) struct Inheritance {
    pub(crate) child: u32,
    pub(crate) parent: u32,
    /// Which of the child's parents that is, from 1.
    pub(crate) number: i32,
}

/// A partitioned table.
pub(crate) struct Partitioned {
    pub(crate) relation: Relation,
    partitioning: Partitioning,
}

impl SystemView {
    /// Every table that is part of another or inherits from it.
    pub(crate) fn inheritances(&self) -> Vec<Inheritance> {
        let mut all = Vec::new();
        for relation in self.tables() {
            let parents = relation.table().map_or(&[][..], |table| &table.parents);
            for (number, parent) in (1..).zip(parents) {
                all.push(Inheritance {
                    child: relation.oid,
                    parent: parent.oid(),
                    number,
                });
            }
        }
        all
    }

    /// Every partitioned table.
    pub(crate) fn partitioned(&self) -> Vec<Partitioned> {
        let partitioned = |relation: Relation| {
            let partitioning = relation.table()?.partitioning.clone()?;
            Some(Partitioned {
                relation,
                partitioning,
            })
        };
        self.tables().into_iter().filter_map(partitioned).collect()
    }

    /// A partitioned table or partition, and what it is part of, nearest first.
    pub(crate) fn partition_ancestors(&self, relation: u32) -> Vec<Value> {
        let mut ancestors = Vec::new();
        let mut next = self.relation(relation);
        while let Some(relation) = next {
            let Some(table) = relation.table() else {
                break;
            };
            if table.partition_bound.is_none() && table.partitioning.is_none() {
                break;
            }
            ancestors.push(self.reference(ObjectClass::Relation, relation.oid));
            next = match (&table.partition_bound, table.parents.first()) {
                (Some(_), Some(parent)) => self.relation(parent.oid()),
                _ => None,
            };
        }
        ancestors
    }
}

impl Relation {
    fn own_table(&self) -> Option<&Table> {
        match &self.part {
            Part::Table(handle) => Some(&handle.table),
            _ => None,
        }
    }

    /// Whether it is a partition.
    pub(crate) fn is_partition(&self) -> bool {
        self.own_table().is_some_and(Table::is_partition)
    }

    /// Whether other tables are part of it or inherit from it.
    pub(crate) fn has_children(&self, view: &SystemView) -> bool {
        self.own_table().is_some_and(|table| {
            view.catalog
                .handles()
                .any(|other| other.table.parents.contains(&table.id))
        })
    }

    /// Which rows it holds as a partition: `FOR VALUES …` or `DEFAULT`.
    pub(crate) fn partition_bound(&self) -> Option<String> {
        self.own_table()?.partition_bound.as_ref().map(bound)
    }

    /// `pg_get_partkeydef`
    pub(crate) fn partition_key(&self) -> Option<String> {
        let table = self.own_table()?;
        let partitioning = table.partitioning.as_ref()?;
        let shown = |(text, _): &(String, _)| match column_number(table, text) {
            Some(_) => text.clone(),
            None => enclosed(text),
        };
        let keys: Vec<String> = partitioning.keys.iter().map(shown).collect();
        let strategy = partitioning.strategy.name().to_ascii_uppercase();
        Some(format!("{strategy} ({})", keys.join(", ")))
    }
}

/// The number of the column that a key is; `None` for an expression.
fn column_number(table: &Table, key: &str) -> Option<i16> {
    let mut columns = table.columns.iter();
    let column = columns.find(|column| quoted(&column.name) == key)?;
    i16::try_from(column.number.0).ok()
}

impl Partitioned {
    /// `partstrat`
    pub(crate) fn strategy(&self) -> char {
        match self.partitioning.strategy {
            PartitionStrategy::List => 'l',
            PartitionStrategy::Range => 'r',
            PartitionStrategy::Hash => 'h',
        }
    }

    /// How many keys there are.
    pub(crate) fn width(&self) -> i16 {
        i16::try_from(self.partitioning.keys.len()).unwrap_or(i16::MAX)
    }

    /// The number of the partition for what no other holds; 0: there is none.
    pub(crate) fn default_partition(&self, view: &SystemView) -> u32 {
        let own = self.relation.table().map(|table| table.id);
        let found = view.catalog.handles().find(|other| {
            matches!(other.table.partition_bound, Some(PartitionBound::Default))
                && other.table.parents.first().copied() == own
        });
        found.map_or(0, |handle| handle.table.id.oid())
    }

    /// The numbers of the columns that are keys; 0 for an expression.
    pub(crate) fn columns(&self) -> Vec<i16> {
        let table = self.relation.table();
        let number = |text: &str| column_number(table?, text);
        self.partitioning
            .keys
            .iter()
            .map(|(text, _)| number(text).unwrap_or(0))
            .collect()
    }

    /// The numbers of the keys' collations.
    pub(crate) fn collations(&self) -> Vec<u32> {
        self.partitioning.types().map(columns::collation).collect()
    }

    /// The keys that are expressions.
    pub(crate) fn expressions(&self) -> Option<String> {
        let columns = self.columns();
        let texts: Vec<&str> = self
            .partitioning
            .keys
            .iter()
            .zip(columns)
            .filter(|(_, column)| *column == 0)
            .map(|((text, _), _)| text.as_str())
            .collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }
}

/// A value as it stands in a bound.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Boolean(truth) => truth.to_string(),
        value if value.as_integer().is_some() => value.to_string(),
        Value::Decimal(_) | Value::Float4(_) | Value::Float8(_) => value.to_string(),
        value => format!("'{}'", value.to_string().replace('\'', "''")),
    }
}

fn listed<T>(items: &[T], shown: impl Fn(&T) -> String) -> String {
    items.iter().map(shown).collect::<Vec<_>>().join(", ")
}

fn bound(bound: &PartitionBound) -> String {
    let end = |end: &RangeEnd| match end {
        RangeEnd::Min => "MINVALUE".to_owned(),
        RangeEnd::Max => "MAXVALUE".to_owned(),
        RangeEnd::Value(value) => shown(value),
    };
    match bound {
        PartitionBound::Default => "DEFAULT".to_owned(),
        PartitionBound::List(values) => format!("FOR VALUES IN ({})", listed(values, shown)),
        PartitionBound::Range { from, to } => format!(
            "FOR VALUES FROM ({}) TO ({})",
            listed(from, end),
            listed(to, end)
        ),
        PartitionBound::Hash { modulus, remainder } => {
            format!("FOR VALUES WITH (modulus {modulus}, remainder {remainder})")
        }
    }
}
