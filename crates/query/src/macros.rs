//! The macros by name: each hands its input to the compiler's half with the path of this crate,
//! whatever that is called in the package that depends on it.

/// A query whose rows are a struct made for it: `query!(db, "SELECT …")`.
///
/// Gives a [`Query`](crate::Query). The struct has a public field for each column, and is `Debug`
/// unless a column is read as a type of yours; rows that are to be cloned or compared are
/// [`query_as!`](crate::query_as!)'s.
#[macro_export]
macro_rules! query {
    ($($input:tt)*) => { $crate::__private::query!($crate; $($input)*) };
}

/// A query whose rows are a struct of yours: `query_as!(db, User, "SELECT …")`.
///
/// Each column fills the field of its name, whose type must be the column's: a column that can
/// be NULL needs an `Option`, and one that is never NULL may have one.
#[macro_export]
macro_rules! query_as {
    ($($input:tt)*) => { $crate::__private::query_as!($crate; $($input)*) };
}

/// A query of one column: `query_scalar!(db, "SELECT count(*) FROM users")`.
#[macro_export]
macro_rules! query_scalar {
    ($($input:tt)*) => { $crate::__private::query_scalar!($crate; $($input)*) };
}

/// As [`query!`](crate::query!), with the SQL in a file: `query_file!(db, "src/report.sql")`. The
/// path starts at the directory of `Cargo.toml`.
#[macro_export]
macro_rules! query_file {
    ($($input:tt)*) => { $crate::__private::query_file!($crate; $($input)*) };
}

/// Runs a statement that gives no rows: `execute!(db, "DELETE FROM users WHERE id = {id}")?`.
///
/// Gives the number of rows affected, as a `Result`.
#[macro_export]
macro_rules! execute {
    ($($input:tt)*) => { $crate::__private::execute!($crate; $($input)*) };
}

/// The package's migrations, embedded in the program: `db.migrate(&migrate!())?`.
///
/// They are read from where [`query!`](crate::query!) reads the schema, or from
/// `migrate!("path")`. Gives [`Migrations`](crate::Migrations).
#[macro_export]
macro_rules! migrate {
    ($($input:tt)*) => { $crate::__private::migrate!($crate; $($input)*) };
}

// What the other half writes of a statement is short: the compiler expands what stands here more
// quickly than it takes as much code over from a macro of another kind, and `query!` stands in
// programs by the hundred.

/// A statement of one text, with a value for each parameter in brackets.
#[doc(hidden)]
#[macro_export]
macro_rules! __statement {
    ($text:tt) => {
        $crate::Statement::fixed($text, ::std::vec::Vec::new())
    };
    // Quicker to check than what `vec!` becomes.
    ($text:tt $([$($parameter:tt)*])+) => {
        $crate::Statement::fixed(
            $text,
            ::std::vec::Vec::from([$($crate::__parameter!($($parameter)*)),+]),
        )
    };
}

/// A parameter's value: a message where it does not fit, its marker, what takes it by reference
/// and it itself in parentheses.
///
/// The trait is there for its message alone: on a stable compiler nothing else can say which of a
/// statement's parameters does not fit.
#[doc(hidden)]
#[macro_export]
macro_rules! __parameter {
    ($message:tt $marker:ty, $reference:tt $value:tt) => {{
        #[diagnostic::on_unimplemented(
            message = $message,
            label = "the value in the braces is of the type `{Self}`"
        )]
        trait __Parameter {
            fn __value(&self) -> $crate::Value;
        }
        #[diagnostic::do_not_recommend]
        impl<T: $crate::Parameter<$marker> + ?::core::marker::Sized> __Parameter for T {
            fn __value(&self) -> $crate::Value {
                $crate::Parameter::<$marker>::value(self)
            }
        }
        __Parameter::__value($reference $value)
    }};
}

/// What a statement runs on, borrowed: a database in parentheses and the method that borrows it.
#[doc(hidden)]
#[macro_export]
macro_rules! __connection {
    ($database:tt $borrow:ident) => {{
        #[allow(unused_imports)]
        use $crate::__private::{BorrowShared as _, BorrowUnique as _};
        $database.$borrow()
    }};
}

/// A statement that is run for what it does.
#[doc(hidden)]
#[macro_export]
macro_rules! __execute {
    ($database:tt $borrow:ident [$($statement:tt)*]) => {{
        let statement = $($statement)*;
        $crate::__private::Execute::execute_statement(
            $crate::__connection!($database $borrow),
            statement,
        )
    }};
}

/// A query of one column.
#[doc(hidden)]
#[macro_export]
macro_rules! __scalar {
    ($database:tt $borrow:ident [$($statement:tt)*] $at:tt $type:ty, $marker:ty;) => {{
        let statement = $($statement)*;
        $crate::Query::new($crate::__connection!($database $borrow), statement, |row| {
            $crate::__private::column::<$type, $marker>(row, $at)
        })
    }};
}

/// A query whose rows are a struct made for it, with those attributes.
///
/// What the caller wrote stands outside of the struct's block, and does not see it.
#[doc(hidden)]
#[macro_export]
macro_rules! __record {
    (
        $database:tt $borrow:ident [$($statement:tt)*] [$($derives:tt)*]
        $($name:ident $at:tt $type:ty, $marker:ty;)*
    ) => {{
        let statement = $($statement)*;
        $crate::Query::new($crate::__connection!($database $borrow), statement, {
            /// A row.
            $($derives)*
            #[allow(dead_code, non_snake_case, missing_docs, clippy::all)]
            pub struct Record {
                $(pub $name: $type,)*
            }
            |row| ::core::result::Result::Ok(Record {
                // Takes the compiler half as long as `?`, which it would have to resolve anew in
                // every statement.
                $($name: match $crate::__private::column::<$type, $marker>(row, $at) {
                    ::core::result::Result::Ok(value) => value,
                    ::core::result::Result::Err(error) => {
                        return ::core::result::Result::Err(error);
                    }
                },)*
            })
        })
    }};
}

/// A query whose rows are a struct of the caller's, each field by the macro named.
#[doc(hidden)]
#[macro_export]
macro_rules! __rows {
    (
        $database:tt $borrow:ident [$($statement:tt)*] [$($row:tt)*]
        $($name:ident $fitted:ident $value:ident $message:tt $at:tt $type:ty, $marker:ty;)*
    ) => {{
        let statement = $($statement)*;
        $crate::Query::new($crate::__connection!($database $borrow), statement, |row| {
            ::core::result::Result::Ok($($row)* {
                $($name: match $crate::__private::column::<$type, $marker>(row, $at) {
                    ::core::result::Result::Ok($value) => {
                        $crate::$fitted!($value $message $type)
                    }
                    ::core::result::Result::Err(error) => {
                        return ::core::result::Result::Err(error);
                    }
                },)*
            })
        })
    }};
}

/// The value of a column as it is.
#[doc(hidden)]
#[macro_export]
macro_rules! __open_field {
    ($value:ident $message:tt $type:ty) => {
        $value
    };
}

/// The value of a column that is never NULL for a field of its type, or an `Option` of it.
///
/// The trait is there for its message.
#[doc(hidden)]
#[macro_export]
macro_rules! __field {
    ($value:ident $message:tt $type:ty) => {
        $crate::__fitted!(
            $value,
            $message,
            $type,
            ::core::option::Option<$type>,
            ::core::option::Option::Some
        )
    };
}

/// The value of a column that can be NULL for a field of its type.
///
/// The second type keeps the compiler from taking the first for the field's before it has looked
/// at the field.
#[doc(hidden)]
#[macro_export]
macro_rules! __nullable_field {
    ($value:ident $message:tt $type:ty) => {
        $crate::__fitted!($value, $message, $type, $crate::__private::Nothing, |_| {
            $crate::__private::Nothing
        })
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __fitted {
    ($value:ident, $message:tt, $type:ty, $second:ty, $make:expr) => {{
        #[diagnostic::on_unimplemented(message = $message)]
        #[diagnostic::on_unimplemented(label = "the field is of the type `{Field}`")]
        trait __Column<Field> {
            fn __field(self) -> Field;
        }
        impl __Column<$type> for $type {
            fn __field(self) -> $type {
                self
            }
        }
        #[diagnostic::do_not_recommend]
        impl __Column<$second> for $type {
            fn __field(self) -> $second {
                let make: fn($type) -> $second = $make;
                make(self)
            }
        }
        __Column::__field($value)
    }};
}
