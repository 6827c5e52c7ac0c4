//! Settings, and what can be installed.

#[cfg(feature = "engine")]
use crate::Value;
use crate::system::{SystemRelation, relation::relation};

pub(super) const RELATIONS: &[SystemRelation] = &[
    relation! {
        pg_settings 12010;
        for setting in |view| view.settings.listed()?;
        name: Text = setting.name,
        setting: Text = setting.value.as_str(),
        unit: Text = Value::Null,
        category: Text = setting.category,
        short_desc: Text = setting.description,
        extra_desc: Text = Value::Null,
        context: Text = if setting.fixed { "internal" } else { "user" },
        vartype: Text = setting.kind(),
        source: Text = if setting.value == setting.default { "default" } else { "session" },
        min_val: Text = Value::Null,
        max_val: Text = Value::Null,
        enumvals: TextArray = Value::Null,
        boot_val: Text = setting.default.as_str(),
        reset_val: Text = setting.reset.as_str(),
        sourcefile: Text = Value::Null,
        sourceline: Int4 = Value::Null,
        pending_restart: Bool = false,
    },
    relation! {
        pg_file_settings 12011;
        sourcefile: Text,
        sourceline: Int4,
        seqno: Int4,
        name: Text,
        setting: Text,
        applied: Bool,
        error: Text,
    },
    relation! {
        pg_extension 3079;
        oid: Oid,
        extname: Name,
        extowner: Oid,
        extnamespace: Oid,
        extrelocatable: Bool,
        extversion: Text,
        extconfig: OidArray,
        extcondition: TextArray,
    },
    relation! {
        pg_available_extensions 12013;
        name: Name,
        default_version: Text,
        installed_version: Text,
        comment: Text,
    },
    relation! {
        pg_available_extension_versions 12014;
        name: Name,
        version: Text,
        installed: Bool,
        superuser: Bool,
        trusted: Bool,
        relocatable: Bool,
        schema: Name,
        requires: NameArray,
        comment: Text,
    },
];
