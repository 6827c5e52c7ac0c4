//! GROUP BY: keys, grouping sets, and what may stand above them (SQL:2016 7.13).

use super::{
    Binder, Place, aggregate::aggregate_allowed, columns::ambiguous, query::position, scope::Scope,
    select::Item,
};
use crate::{
    ast::{self, ExprKind as A, FunctionCall, GroupBy, GroupItem, ObjectName},
    bound::{
        BinaryOp, ColumnId, Expr, ExprKind, GroupingSets, LogicalPlan,
        plan_walk::for_each_expr_deep,
    },
    error::{Error, Result, SqlState},
    span::Span,
    types::{DataType, Value},
};

/// How many grouping sets a query may have (PostgreSQL's limit).
const MAX_SETS: usize = 4096;
/// How many elements CUBE may have.
const MAX_CUBE: usize = 12;

/// The keys of a GROUP BY.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    /// The keys, each once.
    pub(super) exprs: Vec<Expr>,
    /// The sets of them, where there is not just one of all.
    pub(super) sets: Option<GroupingSets>,
}

impl<'a> Binder<'a> {
    /// Binds GROUP BY.
    pub(super) fn group_by(&mut self, group_by: &'a GroupBy, items: &[Item<'a>]) -> Result<Keys> {
        let mut exprs = Vec::new();
        // The product of the items' sets.
        let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
        let mut several = false;
        for item in &group_by.items {
            several |= !matches!(item, GroupItem::Expr(_) | GroupItem::Empty);
            let of_item = self.group_item(item, items, &mut exprs)?;
            if sets.len().saturating_mul(of_item.len()) > MAX_SETS {
                return Err(too_many_sets());
            }
            sets = sets
                .iter()
                .flat_map(|set| {
                    of_item.iter().map(|more| {
                        let mut both = set.clone();
                        both.extend(more.iter().filter(|key| !set.contains(key)));
                        both
                    })
                })
                .collect();
        }
        if group_by.distinct {
            let mut seen: Vec<Vec<usize>> = Vec::new();
            sets.retain(|set| {
                let mut sorted = set.clone();
                sorted.sort_unstable();
                let new = !seen.contains(&sorted);
                if new {
                    seen.push(sorted);
                }
                new
            });
        }
        let sets = several.then(|| GroupingSets {
            sets,
            id: self.column_id(),
        });
        if let Some(sets) = &sets {
            for (at, key) in exprs.iter_mut().enumerate() {
                let everywhere = sets.sets.iter().all(|set| set.contains(&at));
                key.nullable |= !everywhere;
            }
        }
        Ok(Keys { exprs, sets })
    }

    /// The sets of an item, of positions in `keys`.
    fn group_item(
        &mut self,
        item: &'a GroupItem,
        items: &[Item<'a>],
        keys: &mut Vec<Expr>,
    ) -> Result<Vec<Vec<usize>>> {
        match item {
            GroupItem::Expr(expr) => Ok(vec![self.group_element(expr, items, keys)?]),
            GroupItem::Empty => Ok(vec![Vec::new()]),
            GroupItem::Rollup(list) => {
                let elements = self.group_elements(list, items, keys)?;
                Ok((0..=elements.len())
                    .rev()
                    .map(|count| elements.iter().take(count).flatten().copied().collect())
                    .collect())
            }
            GroupItem::Cube(list) => {
                if list.len() > MAX_CUBE {
                    return Err(Error::new(
                        SqlState::STATEMENT_TOO_COMPLEX,
                        format!("CUBE is limited to {MAX_CUBE} elements"),
                    )
                    .at(list.first().map_or_else(Span::default, |first| first.span)));
                }
                let elements = self.group_elements(list, items, keys)?;
                let count = elements.len();
                Ok((0..1usize << count)
                    .rev()
                    .map(|subset| {
                        elements
                            .iter()
                            .enumerate()
                            .filter(|(at, _)| subset >> (count - 1 - at) & 1 == 1)
                            .flat_map(|(_, element)| element.iter().copied())
                            .collect()
                    })
                    .collect())
            }
            GroupItem::Sets(list) => {
                let mut sets = Vec::new();
                for item in list {
                    sets.extend(self.group_item(item, items, keys)?);
                    if sets.len() > MAX_SETS {
                        return Err(too_many_sets());
                    }
                }
                Ok(sets)
            }
        }
    }

    fn group_elements(
        &mut self,
        list: &'a [ast::Expr],
        items: &[Item<'a>],
        keys: &mut Vec<Expr>,
    ) -> Result<Vec<Vec<usize>>> {
        list.iter()
            .map(|element| self.group_element(element, items, keys))
            .collect()
    }

    /// The keys of an expression or a row of them.
    fn group_element(
        &mut self,
        expr: &'a ast::Expr,
        items: &[Item<'a>],
        keys: &mut Vec<Expr>,
    ) -> Result<Vec<usize>> {
        let parts: &'a [ast::Expr] = match &expr.kind {
            A::Row(parts) => parts,
            _ => std::slice::from_ref(expr),
        };
        let mut set = Vec::with_capacity(parts.len());
        for part in parts {
            let key = self.group_key(part, items)?;
            let at = match keys.iter().position(|known| known.is_same(&key)) {
                Some(at) => at,
                None => {
                    keys.push(key);
                    keys.len() - 1
                }
            };
            if !set.contains(&at) {
                set.push(at);
            }
        }
        Ok(set)
    }

    /// A key: an expression, the name of a column of the input or (failing that) of the result,
    /// or a position.
    fn group_key(&mut self, key: &'a ast::Expr, items: &[Item<'a>]) -> Result<Expr> {
        match &key.kind {
            A::Number(text) => {
                let at = position(text, items.len(), "GROUP BY", key.span)?;
                self.key_of_item(&items[at])
            }
            A::Column(name) if name.parts.len() == 1 && !self.is_input_column(name) => {
                let ident = &name.last().name;
                let mut found = items.iter().filter(|item| match item {
                    Item::Ast(_, name) | Item::Bound(_, name) => name == ident,
                });
                let Some(first) = found.next() else {
                    return self.in_place(Place::Clause("GROUP BY"), |binder| binder.expr(key));
                };
                let expr = self.key_of_item(first)?;
                for other in found {
                    if !self.key_of_item(other)?.is_same(&expr) {
                        return Err(ambiguous(ident, key.span));
                    }
                }
                Ok(expr)
            }
            _ => self.in_place(Place::Clause("GROUP BY"), |binder| binder.expr(key)),
        }
    }

    /// A select item as a key.
    fn key_of_item(&mut self, item: &Item<'a>) -> Result<Expr> {
        match item {
            Item::Bound(expr, _) => Ok(expr.clone()),
            Item::Ast(expr, _) => {
                self.in_place(Place::Clause("GROUP BY"), |binder| binder.expr(expr))
            }
        }
    }

    fn is_input_column(&self, name: &ObjectName) -> bool {
        self.scopes.last().is_some_and(|scope| {
            scope
                .columns
                .iter()
                .any(|column| column.name == name.last().name)
        })
    }

    /// `grouping(key, …)`: a bit for each key, 1 where the group's set lacks it.
    pub(super) fn grouping_call(&mut self, call: &'a FunctionCall, span: Span) -> Result<Expr> {
        aggregate_allowed(self.place, span)?;
        if call.arguments.is_empty() || call.arguments.len() > 31 {
            return Err(Error::new(
                SqlState("54023"),
                "GROUPING must have between 1 and 31 arguments",
            )
            .at(span));
        }
        let mut wanted = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            let bound = self.expr(&argument.value)?;
            let keys = &self.select.grouping.exprs;
            let at = keys.iter().position(|key| key.is_same(&bound));
            wanted.push(at.ok_or_else(|| {
                Error::new(
                    SqlState::GROUPING_ERROR,
                    "arguments to GROUPING must be grouping expressions of the associated query level",
                )
                .at(bound.span)
            })?);
        }
        let number =
            |value: i32| super::literal::constant(Value::Int4(value), DataType::Int4, span);
        let Some(sets) = &self.select.grouping.sets else {
            return Ok(number(0));
        };
        let of_set = |set: &Vec<usize>| {
            wanted
                .iter()
                .fold(0, |mask, key| mask << 1 | i32::from(!set.contains(key)))
        };
        let set_number = Expr {
            kind: ExprKind::Column(sets.id),
            data_type: DataType::Int4,
            nullable: false,
            span,
        };
        let branches = sets
            .sets
            .iter()
            .enumerate()
            .map(|(at, set)| {
                let condition = super::expr::boolean(
                    ExprKind::Binary(
                        BinaryOp::Equal,
                        Box::new(set_number.clone()),
                        Box::new(number(at as i32)),
                    ),
                    false,
                    span,
                );
                (condition, number(of_set(set)))
            })
            .collect();
        Ok(Expr {
            kind: ExprKind::Case {
                branches,
                otherwise: Some(Box::new(number(0))),
            },
            data_type: DataType::Int4,
            nullable: false,
            span,
        })
    }
}

fn too_many_sets() -> Error {
    Error::new(
        SqlState::STATEMENT_TOO_COMPLEX,
        format!("too many grouping sets present (maximum {MAX_SETS})"),
    )
}

/// The keys of a grouped SELECT, while expressions above it are rewritten.
pub(super) struct Grouping<'s> {
    pub(super) keys: Vec<(ColumnId, Expr)>,
    pub(super) aggregates: Vec<ColumnId>,
    pub(super) scope: &'s Scope,
    /// Whether a primary key among the keys determines the other columns of its table.
    pub(super) has_dependents: bool,
}

impl Grouping<'_> {
    /// Rewrites an expression over the input into one over groups.
    pub(super) fn rewrite(&mut self, binder: &mut Binder<'_>, expr: &mut Expr) -> Result<()> {
        if let Some((id, key)) = self.keys.iter().find(|(_, key)| key.is_same(expr)) {
            *expr = Expr {
                kind: ExprKind::Column(*id),
                data_type: key.data_type,
                nullable: key.nullable,
                span: expr.span,
            };
            return Ok(());
        }
        if let ExprKind::Column(id) = expr.kind {
            // The outer query's columns are the same for all rows.
            if self.scope.column_by_id(id).is_none() {
                return Ok(());
            }
            if self.aggregates.contains(&id) {
                return Ok(());
            }
            if self.has_dependents && self.determined_by_key(id) {
                let new = binder.column_id();
                self.keys.push((new, expr.clone()));
                expr.kind = ExprKind::Column(new);
                return Ok(());
            }
            return Err(self.ungrouped(id, expr.span));
        }
        for operand in expr.operands_mut() {
            self.rewrite(binder, operand)?;
        }
        match expr.subquery_mut() {
            Some(subquery) => self.rewrite_subquery(binder, subquery),
            None => Ok(()),
        }
    }

    /// Rewrites what a subquery reads of the grouped query.
    fn rewrite_subquery(
        &mut self,
        binder: &mut Binder<'_>,
        subquery: &mut LogicalPlan,
    ) -> Result<()> {
        let mut failure = None;
        for_each_expr_deep(subquery, &mut |expr| {
            if failure.is_none() {
                failure = self.rewrite_inside(binder, expr).err();
            }
        });
        failure.map_or(Ok(()), Err)
    }

    /// As [`Grouping::rewrite`], leaving alone the columns of the subquery itself.
    fn rewrite_inside(&mut self, binder: &mut Binder<'_>, expr: &mut Expr) -> Result<()> {
        if let ExprKind::Column(id) = expr.kind {
            if self.scope.column_by_id(id).is_some() {
                return self.rewrite(binder, expr);
            }
            return Ok(());
        }
        if self.keys.iter().any(|(_, key)| key.is_same(expr)) {
            return self.rewrite(binder, expr);
        }
        for operand in expr.operands_mut() {
            self.rewrite_inside(binder, operand)?;
        }
        Ok(())
    }

    /// Whether the column's table has its primary key among the grouping keys.
    fn determined_by_key(&self, id: ColumnId) -> bool {
        let Some((Some(relation), _)) = self.scope.column_by_id(id) else {
            return false;
        };
        let Some(table) = &relation.table else {
            return false;
        };
        !table.primary_key.is_empty()
            && table.primary_key.iter().all(|ordinal| {
                relation.columns.get(*ordinal).is_some_and(|column| {
                    self.keys
                        .iter()
                        .any(|(_, key)| matches!(key.kind, ExprKind::Column(id) if id == column.id))
                })
            })
    }

    fn ungrouped(&self, id: ColumnId, span: Span) -> Error {
        let name = match self.scope.column_by_id(id) {
            Some((Some(relation), column)) if !relation.name.is_empty() => {
                format!("{}.{}", relation.name, column.name)
            }
            Some((_, column)) => column.name.clone(),
            None => "?".to_owned(),
        };
        Error::new(
            SqlState::GROUPING_ERROR,
            format!("column \"{name}\" must appear in GROUP BY or inside an aggregate"),
        )
        .at(span)
        .hint(format!(
            "Add it to GROUP BY, or say which of the group's values you want, for example min({name})."
        ))
    }
}
