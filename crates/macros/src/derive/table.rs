//! Structs as rows of a table.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use rustling_sql::DataType;
use syn::{
    Attribute, DataStruct, DeriveInput, Fields, GenericArgument, Generics, PathArguments, Type,
    ext::IdentExt, parse_quote_spanned, spanned::Spanned,
};

use super::{
    agreement,
    attributes::{Attributes, ON_FIELD},
    relations, runtime, snake_case, sql_name,
};
use crate::{query::respan, rust_types};

/// A field that is a column.
pub(super) struct Field<'a> {
    pub(super) ident: &'a Ident,
    /// The type that the column has: the field's, or that of its JSON.
    data_type: Type,
    json: Json,
    pub(super) column: String,
    pub(super) attributes: &'a [Attribute],
    options: Attributes,
    primary_key: bool,
    unique: bool,
    generated: bool,
    /// What it is computed from, where the migrations say so.
    expression: Option<String>,
    /// What checks it against the migrations.
    checks: TokenStream,
}

/// Whether a field is what serde makes of JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Json {
    No,
    Value,
    /// It is an `Option`: `None` is NULL.
    Option,
}

impl Field<'_> {
    /// The field's value as the column has it.
    fn value(&self, runtime: &TokenStream) -> TokenStream {
        let (ident, to_sql) = (self.ident, of_field(runtime, &self.data_type, "to_sql"));
        let json = |value: TokenStream| {
            quote! {
                #runtime::Parameter::<#runtime::sql_type::Jsonb>::value(&#value)
            }
        };
        match self.json {
            Json::No => quote! { #to_sql(&self.#ident) },
            Json::Value => json(quote! { #runtime::JsonOf(&self.#ident) }),
            Json::Option => json(quote! { self.#ident.as_ref().map(#runtime::JsonOf) }),
        }
    }

    /// The field's value from a row's column.
    fn read(&self, runtime: &TokenStream, at: usize) -> TokenStream {
        let from_column = of_field(runtime, &self.data_type, "from_column");
        let read = quote! { #from_column(row, #at)? };
        match self.json {
            Json::No => read,
            Json::Value => quote! { #read.0 },
            Json::Option => quote! { #read.map(|json| json.0) },
        }
    }
}

pub(super) fn expand(
    input: &DeriveInput,
    of: &DataStruct,
    attributes: &Attributes,
) -> syn::Result<TokenStream> {
    let runtime = runtime(attributes)?;
    let table_name = attributes.text("table").map_or_else(
        || snake_case(&input.ident.unraw().to_string()),
        syn::LitStr::value,
    );
    let schema_name = attributes.text("schema").map(syn::LitStr::value);
    let (mut fields, skipped) = fields(&runtime, input, of)?;
    let place: &dyn quote::ToTokens = match attributes.text("table") {
        Some(text) => text,
        None => &input.ident,
    };
    let found = agreement::table_of(attributes, schema_name.as_deref(), &table_name, place)?;
    let mut tracking = TokenStream::new();
    if let Some((table, track)) = found {
        tracking = track;
        // Part of a key finds more than one row: without all of it there is none.
        let has_key = agreement::has_key(&table, &fields);
        for field in &mut fields {
            let column = agreement::column_of(&table, field)?;
            let at = table.column(&field.column);
            field.primary_key = has_key && at.is_some_and(|at| table.primary_key.contains(&at));
            field.unique = agreement::is_unique(&table, column);
            field.generated = agreement::is_generated(column);
            field.expression = column.generated.as_ref().map(|(text, _)| text.clone());
            field.checks = checks(&runtime, input, field, column.data_type, column.not_null);
            let labels = enum_checks(&runtime, input, field, column.data_type);
            field.checks.extend(labels);
        }
        if let Some(message) = agreement::lacking(&table, &fields) {
            return Err(syn::Error::new_spanned(place, message));
        }
    } else {
        if !fields.iter().any(|field| field.primary_key)
            && let Some(id) = fields.iter_mut().find(|field| *field.ident == "id")
        {
            id.primary_key = true;
        }
        let mut of_key = fields.iter_mut().filter(|field| field.primary_key);
        if let (Some(key), None) = (of_key.next(), of_key.next()) {
            key.unique = true;
        }
    }
    let name = match &schema_name {
        Some(schema) => format!("{}.{}", sql_name(schema), sql_name(&table_name)),
        None => sql_name(&table_name),
    };
    let implementation = table_impl(&runtime, input, &name, &fields, &skipped);
    let methods = methods(&runtime, input, &fields)?;
    Ok(quote! {
        const _: () = {
            #tracking
            #implementation
            #methods
        };
    })
}

fn fields<'a>(
    runtime: &TokenStream,
    input: &DeriveInput,
    of: &'a DataStruct,
) -> syn::Result<(Vec<Field<'a>>, Vec<&'a Ident>)> {
    let Fields::Named(named) = &of.fields else {
        return Err(syn::Error::new_spanned(
            &input.ident,
            "columns have names: QueryBuilder is for structs with named fields, such as \
             `struct Customer { id: i32, name: String }`",
        ));
    };
    let (mut fields, mut skipped): (Vec<Field<'a>>, Vec<&Ident>) = (Vec::new(), Vec::new());
    for field in &named.named {
        let Some(ident) = &field.ident else { continue };
        relations::misplaced(
            &field.attrs,
            "has_many",
            "on the struct: #[has_many(Order, foreign_key = \"customer_id\")]",
        )?;
        let options = Attributes::read(&field.attrs, &ON_FIELD)?;
        if options.has("skip") {
            skipped.push(ident);
            continue;
        }
        let column = options
            .text("column")
            .map_or_else(|| ident.unraw().to_string(), syn::LitStr::value);
        if fields.iter().any(|other| other.column == column) {
            return Err(syn::Error::new_spanned(
                ident,
                format!(
                    "two fields are the column \"{column}\": say which column this one is, \
                     #[query_builder(column = \"…\")]"
                ),
            ));
        }
        let (data_type, json) = if options.has("json") {
            json_type(runtime, &field.ty)
        } else {
            (field.ty.clone(), Json::No)
        };
        fields.push(Field {
            ident,
            data_type,
            json,
            column,
            attributes: &field.attrs,
            primary_key: options.has("primary_key"),
            unique: options.has("unique"),
            generated: options.has("generated"),
            expression: None,
            options,
            checks: TokenStream::new(),
        });
    }
    if fields.is_empty() {
        return Err(syn::Error::new_spanned(
            &input.ident,
            "a row needs at least one column: add a field, such as `id: i32`",
        ));
    }
    Ok((fields, skipped))
}

/// The fields of the primary key.
fn keys<'a>(fields: &'a [Field<'a>]) -> Vec<&'a Field<'a>> {
    fields.iter().filter(|field| field.primary_key).collect()
}

/// The type of a column whose field is `of` in JSON.
fn json_type(runtime: &TokenStream, of: &Type) -> (Type, Json) {
    let span = of.span();
    if let Type::Path(path) = of
        && path.qself.is_none()
        && let Some(last) = path.path.segments.last()
        && last.ident == "Option"
        && let PathArguments::AngleBracketed(arguments) = &last.arguments
        && let Some(GenericArgument::Type(inner)) = arguments.args.first()
    {
        let option = parse_quote_spanned! { span =>
            ::core::option::Option<#runtime::JsonOf<#inner>>
        };
        return (option, Json::Option);
    }
    (
        parse_quote_spanned! { span => #runtime::JsonOf<#of> },
        Json::Value,
    )
}

/// What the field's type has as that of a column.
///
/// All that is made of a field goes through this alone, and where the field's type stands: of a type
/// that is none of a column the compiler says so once then, and not anew for each use.
fn of_field(runtime: &TokenStream, data_type: &impl ToTokens, what: &str) -> TokenStream {
    let span = data_type.span();
    let runtime = respan(runtime.clone(), span);
    let data_type = located(data_type.to_token_stream(), span);
    let what = Ident::new(what, span);
    quote_spanned! { span => <#data_type as #runtime::table::ColumnType>::#what }
}

/// Tokens that mean what they mean, all of them at one place.
fn located(tokens: TokenStream, place: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|mut token| {
            let span = token.span().located_at(place);
            if let TokenTree::Group(group) = &mut token {
                *group = Group::new(group.delimiter(), located(group.stream(), place));
            }
            token.set_span(span);
            token
        })
        .collect()
}

/// The field's type where it does not depend on the struct's parameters; lifetimes are any.
fn concrete(generics: &Generics, data_type: TokenStream) -> Option<TokenStream> {
    let types = generics.type_params().map(|of| &of.ident);
    let parameters: Vec<&Ident> = types
        .chain(generics.const_params().map(|of| &of.ident))
        .collect();
    let mut in_lifetime = false;
    data_type
        .into_iter()
        .map(|token| {
            let named = std::mem::take(&mut in_lifetime);
            match token {
                TokenTree::Ident(name) if named => Some(Ident::new("static", name.span()).into()),
                TokenTree::Ident(name) if parameters.contains(&&name) => None,
                TokenTree::Group(group) => {
                    Some(Group::new(group.delimiter(), concrete(generics, group.stream())?).into())
                }
                other => {
                    in_lifetime = matches!(&other, TokenTree::Punct(of) if of.as_char() == '\'');
                    Some(other)
                }
            }
        })
        .collect()
}

/// Code that compiles only where field and column agree.
fn checks(
    runtime: &TokenStream,
    input: &DeriveInput,
    field: &Field<'_>,
    data_type: DataType,
    not_null: bool,
) -> TokenStream {
    let span = field.data_type.span();
    let Some(field_type) = concrete(&input.generics, field.data_type.to_token_stream()) else {
        return TokenStream::new();
    };
    let marker = rust_types::marker(runtime, data_type);
    // The type of Json is that of jsonb.
    let marker = match data_type {
        DataType::Json => rust_types::marker(runtime, DataType::Jsonb),
        _ => marker,
    };
    let sql = of_field(runtime, &field_type, "Sql");
    let mut checks = quote_spanned! { span =>
        const _: fn() = #runtime::__private::is_column::<#sql, #marker>;
    };
    if !not_null {
        let message = format!(
            "column \"{}\" can be NULL: the field must be an Option",
            field.column
        );
        let nullable = of_field(runtime, &field_type, "NULLABLE");
        checks.extend(quote_spanned! { span =>
            const _: () = ::core::assert!(#nullable, #message);
        });
    }
    checks
}

/// Code that compiles only where the labels of the field's enum are those of the column's enumerated
/// type.
fn enum_checks(
    runtime: &TokenStream,
    input: &DeriveInput,
    field: &Field<'_>,
    data_type: DataType,
) -> TokenStream {
    let DataType::Enum(of) = data_type else {
        return TokenStream::new();
    };
    let span = field.data_type.span();
    let Some(field_type) = concrete(&input.generics, field.data_type.to_token_stream()) else {
        return TokenStream::new();
    };
    let of_enum = of_field(runtime, &field_type, "LABELS");
    let labels: Vec<&str> = of.labels().map(|label| label.name()).collect();
    let all = labels.join(", ");
    let column = &field.column;
    let missing = labels.iter().map(|label| {
        format!(
            "column \"{column}\" is of the enumerated type {of}, and no variant of the field's enum \
             stands for its value \"{label}\", so that a row with it could not be read: add one"
        )
    });
    let unknown = format!(
        "column \"{column}\" is of the enumerated type {of}, whose values are {all}: the field's enum \
         has a variant that is none of them"
    );
    quote_spanned! { span =>
        const _: () = {
            let labels = #of_enum;
            ::core::assert!(
                #runtime::__private::are_labels(labels, &[#(#labels),*]),
                #unknown
            );
            #(::core::assert!(
                labels.is_empty() || #runtime::__private::are_labels(&[#labels], labels),
                #missing
            );)*
        };
    }
}

fn table_impl(
    runtime: &TokenStream,
    input: &DeriveInput,
    name: &str,
    fields: &[Field<'_>],
    skipped: &[&Ident],
) -> TokenStream {
    let ident = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let is_key_alone = keys(fields).len() == 1;
    let infos = fields.iter().map(|field| {
        let Field {
            data_type,
            primary_key,
            generated,
            ..
        } = field;
        let nullable = of_field(runtime, data_type, "NULLABLE");
        let name = sql_name(&field.column);
        let unique = field.unique && !(*primary_key && is_key_alone);
        let sql_type = match field.options.text("sql_type") {
            Some(text) => quote! { #text },
            None => of_field(runtime, data_type, "SQL_TYPE"),
        };
        let optional = |text: Option<String>| match text {
            Some(text) => quote! { ::core::option::Option::Some(#text) },
            None => quote! { ::core::option::Option::None },
        };
        let expression = optional(field.expression.clone());
        let default = optional(field.options.text("default").map(syn::LitStr::value));
        quote! {
            #runtime::table::ColumnInfo {
                name: #name,
                sql_type: #sql_type,
                nullable: #nullable,
                primary_key: #primary_key,
                unique: #unique,
                generated: #generated,
                expression: #expression,
                default: #default,
            }
        }
    });
    let reads = fields.iter().enumerate().map(|(at, field)| {
        let ident = field.ident;
        let read = field.read(runtime, at);
        quote! { #ident: #read }
    });
    let values = fields.iter().enumerate().map(|(at, field)| {
        let value = field.value(runtime);
        quote! { #at => #value }
    });
    quote! {
        impl #impl_generics #runtime::table::Table for #ident #type_generics #where_clause {
            const NAME: &'static str = #name;
            const COLUMNS: &'static [#runtime::table::ColumnInfo] = &[#(#infos),*];

            fn from_row(row: &#runtime::Row) -> #runtime::Result<Self> {
                ::core::result::Result::Ok(Self {
                    #(#reads,)*
                    #(#skipped: ::core::default::Default::default(),)*
                })
            }

            fn value(&self, column: usize) -> #runtime::Value {
                match column {
                    #(#values,)*
                    _ => #runtime::Value::Null,
                }
            }
        }
    }
}

fn methods(
    runtime: &TokenStream,
    input: &DeriveInput,
    fields: &[Field<'_>],
) -> syn::Result<TokenStream> {
    let ident = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let keys = keys(fields);
    let target = upsert_target(fields, &keys);
    clashes(fields, &keys, &target)?;
    let mut code = TokenStream::new();
    for (at, field) in fields.iter().enumerate() {
        code.extend(column_methods(runtime, at, field));
        code.extend(relations::belongs_to(runtime, field)?);
    }
    let key = match keys.as_slice() {
        [key] => Some(key.ident),
        _ => None,
    };
    code.extend(relations::has_many(runtime, &input.attrs, key)?);
    code.extend(row_methods(runtime, &keys, &target));
    let checks = fields.iter().map(|field| &field.checks);
    Ok(quote! {
        #(#checks)*
        #[allow(dead_code)]
        impl #impl_generics #ident #type_generics #where_clause {
            #code
        }
    })
}

/// The column's handle and `find_by_…`.
fn column_methods(runtime: &TokenStream, at: usize, field: &Field<'_>) -> TokenStream {
    let Field {
        ident, data_type, ..
    } = field;
    let sql = of_field(runtime, data_type, "Sql");
    let (span, path) = (data_type.span(), respan(runtime.clone(), data_type.span()));
    let parameter = quote_spanned! { span => impl #path::Parameter<#sql> };
    let value_of = quote_spanned! { span => #path::Parameter::<#sql>::value };
    let find = format_ident!("find_by_{}", ident.unraw());
    let column_doc = format!("The column `{}`.", field.column);
    let (find_doc, result, function) = if field.unique {
        (
            format!("The row with this `{ident}`, where there is one."),
            quote! { ::core::option::Option<Self> },
            quote! { find },
        )
    } else {
        (
            format!("The rows with this `{ident}`."),
            quote! { ::std::vec::Vec<Self> },
            quote! { find_all },
        )
    };
    let column = quote! {
        #[doc = #column_doc]
        #[must_use]
        pub fn #ident() -> #runtime::table::Column<Self, #data_type> {
            #runtime::table::Column::at(#at)
        }
    };
    // Rows are not looked for by a whole JSON value, and values of `json` cannot be compared.
    if field.json != Json::No {
        return column;
    }
    quote! {
        #column
        #[doc = #find_doc]
        ///
        /// # Errors
        /// What the query fails with.
        pub fn #find<__On: #runtime::Runs>(
            value: #parameter,
            on: __On,
        ) -> __On::Output<#result> {
            #runtime::table::#function(
                #at,
                #value_of(&value),
                on,
            )
        }
    }
}

/// The columns by which upsert finds the row that is there already; none: there is no upsert.
fn upsert_target(fields: &[Field<'_>], keys: &[&Field<'_>]) -> Vec<String> {
    let given = |field: &&Field<'_>| !field.generated && !field.options.has("default");
    if !keys.is_empty() && keys.iter().all(given) {
        return keys.iter().map(|key| sql_name(&key.column)).collect();
    }
    fields
        .iter()
        .find(|field| field.unique && !field.primary_key && given(field))
        .map(|field| vec![sql_name(&field.column)])
        .unwrap_or_default()
}

/// A field's column has a method of the field's name, which the row may have as well.
fn clashes(fields: &[Field<'_>], keys: &[&Field<'_>], target: &[String]) -> syn::Result<()> {
    for field in fields {
        let name = field.ident.unraw().to_string();
        let is_taken = match name.as_str() {
            "query" | "create_table" | "insert" | "insert_all" => true,
            "update" | "delete" => !keys.is_empty(),
            "upsert" => !target.is_empty(),
            _ => false,
        };
        if is_taken {
            return Err(syn::Error::new_spanned(
                field.ident,
                format!(
                    "the field `{name}` would get a method `{name}`, which the row has already\n\
                     HINT:  Call the field otherwise and say which column it is: \
                     #[query_builder(column = \"{}\")].",
                    field.column
                ),
            ));
        }
    }
    Ok(())
}

/// What a row as a whole can do.
fn row_methods(runtime: &TokenStream, keys: &[&Field<'_>], target: &[String]) -> TokenStream {
    let mut code = quote! {
        /// A query over the table's rows.
        pub fn query() -> #runtime::table::Select<Self> {
            ::core::default::Default::default()
        }
        /// The CREATE TABLE statement.
        #[must_use]
        pub fn create_table() -> ::std::string::String {
            #runtime::table::create_table::<Self>()
        }
        /// Inserts the row; gives it as it is then, generated values included.
        ///
        /// # Errors
        /// What the statement fails with.
        pub fn insert<__On: #runtime::Runs>(&self, on: __On) -> __On::Output<Self> {
            #runtime::table::insert(self, on)
        }
        /// Inserts many rows, several with each statement; gives their number.
        ///
        /// # Errors
        /// What a statement fails with; earlier ones stay, unless all run in one transaction.
        pub fn insert_all<__On: #runtime::Runs>(rows: &[Self], on: __On) -> __On::Output<u64> {
            #runtime::table::insert_all(rows, on)
        }
    };
    if !keys.is_empty() {
        code.extend(quote! {
            /// Writes all columns of the row with this primary key; whether there is one.
            ///
            /// # Errors
            /// What the statement fails with.
            pub fn update<__On: #runtime::Runs>(&self, on: __On) -> __On::Output<bool> {
                #runtime::table::update(self, on)
            }
            /// Deletes the row with this primary key; whether there was one.
            ///
            /// # Errors
            /// What the statement fails with.
            pub fn delete<__On: #runtime::Runs>(&self, on: __On) -> __On::Output<bool> {
                #runtime::table::delete(self, on)
            }
        });
    }
    if !target.is_empty() {
        code.extend(quote! {
            /// Inserts the row, or gives the row that has its key the other values; gives it as
            /// it is then.
            ///
            /// # Errors
            /// What the statement fails with.
            pub fn upsert<__On: #runtime::Runs>(&self, on: __On) -> __On::Output<Self> {
                #runtime::table::upsert(self, &[#(#target),*], on)
            }
        });
    }
    code
}
