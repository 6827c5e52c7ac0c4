//! Who may do what.

#[cfg(feature = "engine")]
use crate::engine::system::{privileges, standard};
use crate::system::{SystemRelation, relation::relation};

pub(super) const RELATIONS: &[SystemRelation] = &[
    relation! {
        table_privileges 12260;
        for (class, granted) in |view| privileges::table_privileges(view);
        grantor: Name = granted.grantor.as_str(),
        grantee: Name = granted.grantee.as_str(),
        table_catalog: Name = view.database(),
        table_schema: Name = class.schema(),
        table_name: Name = &*class.name(),
        privilege_type: Text = granted.privilege,
        is_grantable: Text = standard::yes(granted.grantable),
        with_hierarchy: Text = standard::yes(granted.privilege == "SELECT"),
    },
    relation! {
        role_table_grants 12261;
        for (class, granted) in |view| privileges::table_privileges(view);
        grantor: Name = granted.grantor.as_str(),
        grantee: Name = granted.grantee.as_str(),
        table_catalog: Name = view.database(),
        table_schema: Name = class.schema(),
        table_name: Name = &*class.name(),
        privilege_type: Text = granted.privilege,
        is_grantable: Text = standard::yes(granted.grantable),
        with_hierarchy: Text = standard::yes(granted.privilege == "SELECT"),
    },
    relation! {
        column_privileges 12262;
        for (column, granted) in |view| privileges::column_privileges(view);
        grantor: Name = granted.grantor.as_str(),
        grantee: Name = granted.grantee.as_str(),
        table_catalog: Name = view.database(),
        table_schema: Name = column.relation.schema(),
        table_name: Name = &*column.relation.name(),
        column_name: Name = column.name.as_str(),
        privilege_type: Text = granted.privilege,
        is_grantable: Text = standard::yes(granted.grantable),
    },
    relation! {
        enabled_roles 12263;
        for role in |view| view.roles();
        role_name: Name = role.name.as_str(),
    },
    relation! {
        applicable_roles 12264;
        grantee: Name,
        role_name: Name,
        is_grantable: Text,
    },
    relation! {
        usage_privileges 12265;
        grantor: Name,
        grantee: Name,
        object_catalog: Name,
        object_schema: Name,
        object_name: Name,
        object_type: Text,
        privilege_type: Text,
        is_grantable: Text,
    },
    relation! {
        routine_privileges 12266;
        grantor: Name,
        grantee: Name,
        specific_catalog: Name,
        specific_schema: Name,
        specific_name: Name,
        routine_catalog: Name,
        routine_schema: Name,
        routine_name: Name,
        privilege_type: Text,
        is_grantable: Text,
    },
];
