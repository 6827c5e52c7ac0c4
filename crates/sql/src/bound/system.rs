//! Functions on the system catalog and the session.

use crate::types::ObjectClass;

/// A function on the system catalog or the session. Its names in SQL and what it takes stand in
/// the function table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "named by what they tell")]
pub enum SystemFunction {
    /// `'name'::regclass`: what a name or number stands for.
    Reference(ObjectClass),
    FindRelation,
    FindType,
    FindFunction,
    FindSchema,
    FindRole,
    FormatType,
    Expression,
    ConstraintDefinition,
    IndexDefinition,
    ViewDefinition,
    RuleDefinition,
    /// Of what there is none here: NULL.
    NoDefinition,
    PartitionKey,
    FunctionArguments,
    FunctionResult,
    SerialSequence,
    UserById,
    EncodingName,
    EncodingNumber,
    ClientEncoding,
    RelationIsVisible,
    ObjectIsVisible,
    TypeIsVisible,
    ObjectDescription,
    ColumnDescription,
    CurrentSchemas,
    RelationSize,
    IndexesSize,
    TotalRelationSize,
    DatabaseSize,
    TablespaceLocation,
    SizePretty,
    RelationFile,
    RelationIsStored,
    RelationIsUpdatable,
    ColumnIsUpdatable,
    SequenceLastValue,
    StartTime,
    BackendPid,
    CancelBackend,
    TerminateBackend,
    IsInRecovery,
    IsOtherTemporarySchema,
    MyTemporarySchema,
    TransactionNumber,
    CurrentSetting,
    SetConfig,
    NoAddress,
    NoPort,
    BlockingPids,
    IndexColumnProperty,
    RowSecurityActive,
    Notify,
}
