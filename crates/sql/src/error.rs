//! SQL errors: SQLSTATE, message, caret and hint.

use std::fmt;

use crate::span::Span;

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A five-character SQLSTATE code (ISO/IEC 9075, PostgreSQL appendix A).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SqlState(pub &'static str);

macro_rules! sql_states {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl SqlState { $( $(#[$doc])* pub const $name: SqlState = SqlState($code); )* }
    };
}

sql_states! {
    /// syntax_error
    SYNTAX_ERROR = "42601";
    /// undefined_table
    UNDEFINED_TABLE = "42P01";
    /// undefined_column
    UNDEFINED_COLUMN = "42703";
    /// undefined_function
    UNDEFINED_FUNCTION = "42883";
    /// undefined_object (types, indexes, settings)
    UNDEFINED_OBJECT = "42704";
    /// ambiguous_column
    AMBIGUOUS_COLUMN = "42702";
    /// duplicate_table
    DUPLICATE_TABLE = "42P07";
    /// duplicate_column
    DUPLICATE_COLUMN = "42701";
    /// duplicate_alias
    DUPLICATE_ALIAS = "42712";
    /// datatype_mismatch
    DATATYPE_MISMATCH = "42804";
    /// grouping_error
    GROUPING_ERROR = "42803";
    /// invalid_column_reference
    INVALID_COLUMN_REFERENCE = "42P10";
    /// invalid_table_definition
    INVALID_TABLE_DEFINITION = "42P16";
    /// invalid_object_definition
    INVALID_OBJECT_DEFINITION = "42P17";
    /// indeterminate_datatype
    INDETERMINATE_DATATYPE = "42P18";
    /// undefined_parameter
    UNDEFINED_PARAMETER = "42P02";
    /// wrong_object_type
    WRONG_OBJECT_TYPE = "42809";
    /// dependent_objects_still_exist
    DEPENDENT_OBJECTS = "2BP01";
    /// object_not_in_prerequisite_state
    NOT_IN_PREREQUISITE_STATE = "55000";
    /// cannot_coerce
    CANNOT_COERCE = "42846";
    /// feature_not_supported
    FEATURE_NOT_SUPPORTED = "0A000";
    /// insufficient_privilege
    INSUFFICIENT_PRIVILEGE = "42501";
    /// numeric_value_out_of_range
    NUMERIC_VALUE_OUT_OF_RANGE = "22003";
    /// division_by_zero
    DIVISION_BY_ZERO = "22012";
    /// invalid_text_representation
    INVALID_TEXT_REPRESENTATION = "22P02";
    /// string_data_right_truncation
    STRING_DATA_RIGHT_TRUNCATION = "22001";
    /// datetime_field_overflow
    DATETIME_FIELD_OVERFLOW = "22008";
    /// invalid_datetime_format
    INVALID_DATETIME_FORMAT = "22007";
    /// bad_copy_file_format
    BAD_COPY_FILE_FORMAT = "22P04";
    /// character_not_in_repertoire (bytes that are no text)
    CHARACTER_NOT_IN_REPERTOIRE = "22021";
    /// invalid_parameter_value
    INVALID_PARAMETER_VALUE = "22023";
    /// cardinality_violation
    CARDINALITY_VIOLATION = "21000";
    /// not_null_violation
    NOT_NULL_VIOLATION = "23502";
    /// foreign_key_violation
    FOREIGN_KEY_VIOLATION = "23503";
    /// unique_violation
    UNIQUE_VIOLATION = "23505";
    /// check_violation
    CHECK_VIOLATION = "23514";
    /// active_sql_transaction
    ACTIVE_SQL_TRANSACTION = "25001";
    /// no_active_sql_transaction
    NO_ACTIVE_SQL_TRANSACTION = "25P01";
    /// in_failed_sql_transaction
    IN_FAILED_SQL_TRANSACTION = "25P02";
    /// read_only_sql_transaction
    READ_ONLY_SQL_TRANSACTION = "25006";
    /// invalid_savepoint_specification
    INVALID_SAVEPOINT_SPECIFICATION = "3B001";
    /// serialization_failure
    SERIALIZATION_FAILURE = "40001";
    /// deadlock_detected
    DEADLOCK_DETECTED = "40P01";
    /// lock_not_available
    LOCK_NOT_AVAILABLE = "55P03";
    /// statement_too_complex (nesting)
    STATEMENT_TOO_COMPLEX = "54001";
    /// too_many_columns
    TOO_MANY_COLUMNS = "54011";
    /// program_limit_exceeded
    PROGRAM_LIMIT_EXCEEDED = "54000";
    /// query_canceled
    QUERY_CANCELED = "57014";
    /// out_of_memory
    OUT_OF_MEMORY = "53200";
    /// disk_full
    DISK_FULL = "53100";
    /// io_error
    IO_ERROR = "58030";
    /// data_corrupted
    DATA_CORRUPTED = "XX001";
    /// internal_error: a bug of ours
    INTERNAL_ERROR = "XX000";
}

/// An SQL error. Boxed inside, so that results stay small.
#[derive(Clone, Debug)]
pub struct Error(Box<ErrorFields>);

#[derive(Clone, Debug)]
struct ErrorFields {
    state: SqlState,
    message: String,
    span: Option<Span>,
    detail: Option<String>,
    hint: Option<String>,
    context: Option<String>,
    object: ErrorObject,
}

/// What of the database an error is about, as far as programs may want to know its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorObject {
    /// The schema of the table.
    pub schema: Option<String>,
    /// The table.
    pub table: Option<String>,
    /// Its column.
    pub column: Option<String>,
    /// The constraint that is broken.
    pub constraint: Option<String>,
}

impl Error {
    /// An error of class `state` that says `message`.
    pub fn new(state: SqlState, message: impl Into<String>) -> Error {
        Error(Box::new(ErrorFields {
            state,
            message: message.into(),
            span: None,
            detail: None,
            hint: None,
            context: None,
            object: ErrorObject::default(),
        }))
    }

    /// Points the error at a place in the statement, unless it points at one already.
    #[must_use]
    pub fn at(mut self, span: Span) -> Error {
        self.0.span.get_or_insert(span);
        self
    }

    /// The error of a statement that begins `bytes` into a longer text, pointing into that.
    #[must_use]
    pub fn shifted(mut self, bytes: usize) -> Error {
        if let Some(span) = &mut self.0.span {
            span.start += bytes;
            span.end += bytes;
        }
        self
    }

    /// Points the error elsewhere, where it points anywhere: into the text that the statement was
    /// made from.
    #[must_use]
    pub fn moved(mut self, place: impl FnOnce(Span) -> Span) -> Error {
        self.0.span = self.0.span.map(place);
        self
    }

    /// Adds what the caller can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds facts behind the message.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Error {
        self.0.detail = Some(detail.into());
        self
    }

    /// Says where in the data it happened, unless that is known already.
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Error {
        self.0.context.get_or_insert_with(|| context.into());
        self
    }

    /// Names the table that it is about.
    #[must_use]
    pub fn of_table(mut self, schema: &str, table: &str) -> Error {
        self.0.object.schema = Some(schema.to_owned());
        self.0.object.table = Some(table.to_owned());
        self
    }

    /// Names the column that it is about.
    #[must_use]
    pub fn of_column(mut self, column: &str) -> Error {
        self.0.object.column = Some(column.to_owned());
        self
    }

    /// Names the constraint that is broken.
    #[must_use]
    pub fn of_constraint(mut self, constraint: &str) -> Error {
        self.0.object.constraint = Some(constraint.to_owned());
        self
    }

    /// What of the database it is about.
    #[must_use]
    pub fn object(&self) -> &ErrorObject {
        &self.0.object
    }

    /// The SQLSTATE.
    #[must_use]
    pub fn state(&self) -> SqlState {
        self.0.state
    }

    /// The primary message, without prefix or position.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where in the statement.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.0.span
    }

    /// Facts behind the message.
    #[must_use]
    pub fn detail_text(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// What the caller can do.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Where in the data: `COPY t, line 2, column n`.
    #[must_use]
    pub fn context_text(&self) -> Option<&str> {
        self.0.context.as_deref()
    }

    /// Whether the same transaction may succeed when tried again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.0.state,
            SqlState::SERIALIZATION_FAILURE | SqlState::DEADLOCK_DETECTED
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}
