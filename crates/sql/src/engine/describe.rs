//! What statements take and give, known before they are run.

use std::sync::Arc;

use crate::{
    DataType, Result,
    ast::{self, SessionStatement},
    bound::BoundStatement,
    engine::{
        explain::plan_column,
        prepared::{Action, Statement},
        rows::ResultColumn,
        session::Session,
    },
};

/// What a statement takes and gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatementDescription {
    /// The types of its parameters, `$1` first.
    pub parameters: Vec<DataType>,
    /// The columns of its result; none for statements that give no rows. Those of EXECUTE and
    /// FETCH are the columns of the prepared statement or cursor that has the name now.
    pub columns: Vec<ResultColumn>,
}

impl Session {
    /// The columns that a statement gives; none where [`StatementDescription::columns`] has none.
    /// Costs nothing for a query that is planned.
    ///
    /// # Errors
    /// As [`Session::describe`].
    pub fn result_columns(&self, statement: &Statement) -> Result<Arc<[ResultColumn]>> {
        let prepared = statement.prepared();
        if prepared.has_plan() {
            let planned = prepared.plan(&self.catalog(), self.plan_options())?;
            if let Action::Query(query) = &planned.action {
                return Ok(Arc::clone(&query.columns));
            }
        }
        Ok(self.describe(statement)?.columns.into())
    }

    /// What a statement takes and gives, with the tables as this session sees them.
    ///
    /// # Errors
    /// Where the statement does not fit the tables (any more).
    pub fn describe(&self, statement: &Statement) -> Result<StatementDescription> {
        let prepared = statement.prepared();
        if let Some(explained) = self.explained_execute(&prepared.ast)? {
            let planned = explained.plan(&self.catalog(), self.plan_options())?;
            return Ok(StatementDescription {
                parameters: Vec::new(),
                columns: columns_of(&planned.action),
            });
        }
        if !prepared.has_plan() {
            return Ok(StatementDescription {
                parameters: Vec::new(),
                columns: self.session_columns(&prepared.ast)?,
            });
        }
        let planned = prepared.plan(&self.catalog(), self.plan_options())?;
        Ok(StatementDescription {
            parameters: planned.parameters.clone(),
            columns: columns_of(&planned.action),
        })
    }
}

/// The columns that an action gives.
pub(super) fn columns_of(action: &Action) -> Vec<ResultColumn> {
    let text = |name: &str| {
        vec![ResultColumn {
            name: name.to_owned(),
            data_type: DataType::Text,
            nullable: false,
        }]
    };
    match action {
        Action::Explain { json, .. } => vec![plan_column(*json)],
        Action::Utility(BoundStatement::Show { name: Some(name) }) => text(name),
        Action::Utility(BoundStatement::Show { name: None }) => all_settings(),
        action => action.columns().to_vec(),
    }
}

impl Session {
    /// The columns that a statement about the session gives.
    fn session_columns(&self, statement: &ast::Statement) -> Result<Vec<ResultColumn>> {
        let ast::StatementKind::Session(statement) = &statement.kind else {
            return Ok(Vec::new());
        };
        match statement {
            SessionStatement::Fetch {
                name,
                moves: false,
                into: None,
                ..
            } => Ok(self.cursor_columns(&name.name).unwrap_or_default().to_vec()),
            SessionStatement::Execute { name, .. } => self.named_columns(&name.name),
            _ => Ok(Vec::new()),
        }
    }
}

/// The columns of SHOW ALL.
pub(super) fn all_settings() -> Vec<ResultColumn> {
    ["name", "setting", "description"]
        .map(|name| ResultColumn {
            name: name.to_owned(),
            data_type: DataType::Text,
            nullable: false,
        })
        .to_vec()
}
