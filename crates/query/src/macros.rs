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

/// A parameter's value.
///
/// The trait is there for its message alone: on a stable compiler nothing else can say which of a
/// statement's parameters does not fit. It stands here because the compiler expands this more
/// quickly than code that the other half would have to write.
#[doc(hidden)]
#[macro_export]
macro_rules! __parameter {
    ($fits:ident, $message:literal, $marker:ty, $value:expr) => {{
        #[diagnostic::on_unimplemented(message = $message)]
        #[diagnostic::on_unimplemented(label = "the value in the braces is of the type `{Self}`")]
        trait $fits {
            fn __value(&self) -> $crate::Value;
        }
        #[diagnostic::do_not_recommend]
        impl<T: $crate::Parameter<$marker> + ?::core::marker::Sized> $fits for T {
            fn __value(&self) -> $crate::Value {
                $crate::Parameter::<$marker>::value(self)
            }
        }
        $fits::__value($value)
    }};
}

/// The value of a column that is never NULL for a field of its type, or an `Option` of it.
///
/// The trait is there for its message.
#[doc(hidden)]
#[macro_export]
macro_rules! __field {
    ($fits:ident, $message:literal, $type:ty, $value:expr) => {
        $crate::__fitted!(
            $fits,
            $message,
            $type,
            ::core::option::Option<$type>,
            ::core::option::Option::Some,
            $value
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
    ($fits:ident, $message:literal, $type:ty, $value:expr) => {
        $crate::__fitted!(
            $fits,
            $message,
            $type,
            $crate::__private::Nothing,
            |_| $crate::__private::Nothing,
            $value
        )
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __fitted {
    ($fits:ident, $message:literal, $type:ty, $second:ty, $make:expr, $value:expr) => {{
        #[diagnostic::on_unimplemented(message = $message)]
        #[diagnostic::on_unimplemented(label = "the field is of the type `{Field}`")]
        trait $fits<Field> {
            fn __field(self) -> Field;
        }
        impl $fits<$type> for $type {
            fn __field(self) -> $type {
                self
            }
        }
        #[diagnostic::do_not_recommend]
        impl $fits<$second> for $type {
            fn __field(self) -> $second {
                let make: fn($type) -> $second = $make;
                make(self)
            }
        }
        $fits::__field($value)
    }};
}
