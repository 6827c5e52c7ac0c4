//! Roles and privileges.

use super::{Builder, Node, alter::object_kind, broken, child, children, has, unsupported};
use crate::{
    ast::{
        AccessStatement, AllKind, GrantPrivileges, GrantRoles, GrantTarget, Ident, NamedPrivilege,
        OwnedKind, RoleOption, RoleSpec, RoleWord, RoutineKind, RoutineName, SessionStatement,
        SetScope,
    },
    error::Result,
    parser::grammar::Rule,
};

/// The parts that GRANT and REVOKE share.
#[derive(Default)]
struct GrantParts {
    option: bool,
    privileges: Vec<NamedPrivilege>,
    all_columns: Vec<Ident>,
    target: Option<GrantTarget>,
    names: Vec<Ident>,
    roles: Vec<RoleSpec>,
    granted_by: Option<RoleSpec>,
    cascade: bool,
}

/// The word of a `role_word`.
fn role_word(node: &Node<'_>) -> RoleWord {
    if has(node, Rule::kw_user) {
        RoleWord::User
    } else if has(node, Rule::kw_group) {
        RoleWord::Group
    } else {
        RoleWord::Role
    }
}

impl Builder<'_> {
    /// A `role_spec`.
    pub(super) fn role_spec(&self, node: Node<'_>) -> Result<RoleSpec> {
        let span = self.span(&node);
        let inner = child(node, "a role")?;
        Ok(match inner.as_rule() {
            Rule::role_current => RoleSpec::Current(span),
            Rule::role_session => RoleSpec::Session(span),
            _ => RoleSpec::Named(self.ident(inner)?),
        })
    }

    /// A `role_specs`.
    fn role_specs(&self, node: Node<'_>) -> Result<Vec<RoleSpec>> {
        children(node).map(|role| self.role_spec(role)).collect()
    }

    /// The `role_specs` in a node.
    fn roles_in(&self, node: Node<'_>) -> Result<Vec<RoleSpec>> {
        self.role_specs(child(node, "roles")?)
    }

    /// An `access_statement`.
    pub(super) fn access_statement(&self, node: Node<'_>) -> Result<AccessStatement> {
        match node.as_rule() {
            Rule::create_role => self.create_role(node),
            Rule::alter_role => self.alter_role(node),
            Rule::drop_role => self.drop_role(node),
            Rule::grant => self.grant(child(node, "what is granted")?, false),
            Rule::revoke => self.grant(child(node, "what is revoked")?, true),
            Rule::alter_owner => self.alter_owner(node),
            Rule::reassign_owned => {
                let mut from = Vec::new();
                let mut to = None;
                for part in children(node) {
                    match part.as_rule() {
                        Rule::role_specs => from = self.role_specs(part)?,
                        _ => to = Some(self.role_spec(part)?),
                    }
                }
                Ok(AccessStatement::ReassignOwned {
                    from,
                    to: to.ok_or_else(|| broken("the new owner"))?,
                })
            }
            _ => {
                let mut roles = Vec::new();
                let mut cascade = false;
                for part in children(node) {
                    match part.as_rule() {
                        Rule::role_specs => roles = self.role_specs(part)?,
                        _ => cascade = has(&part, Rule::cascade_word),
                    }
                }
                Ok(AccessStatement::DropOwned { roles, cascade })
            }
        }
    }

    fn create_role(&self, node: Node<'_>) -> Result<AccessStatement> {
        let mut word = RoleWord::Role;
        let mut name = None;
        let mut options = Vec::new();
        for part in children(node) {
            match part.as_rule() {
                Rule::role_word => word = role_word(&part),
                Rule::name => name = Some(self.ident(part)?),
                _ => options.push(self.role_option(part)?),
            }
        }
        Ok(AccessStatement::CreateRole {
            word,
            name: name.ok_or_else(|| broken("the role's name"))?,
            options,
        })
    }

    fn alter_role(&self, node: Node<'_>) -> Result<AccessStatement> {
        let span = self.span(&node);
        let mut role = None;
        let mut options = Vec::new();
        for part in children(node) {
            match part.as_rule() {
                Rule::role_word => {}
                Rule::role_spec => role = Some(self.role_spec(part)?),
                Rule::role_rename => {
                    let to = self.ident(child(part, "the new name")?)?;
                    let Some(RoleSpec::Named(name)) = role else {
                        return Err(super::syntax_error(
                            "RENAME wants the role by its name",
                            span,
                        ));
                    };
                    return Ok(AccessStatement::RenameRole { name, to });
                }
                _ => options.push(self.role_option(part)?),
            }
        }
        Ok(AccessStatement::AlterRole {
            role: role.ok_or_else(|| broken("the role"))?,
            options,
        })
    }

    fn drop_role(&self, node: Node<'_>) -> Result<AccessStatement> {
        let mut names = Vec::new();
        let mut if_exists = false;
        for part in children(node) {
            match part.as_rule() {
                Rule::if_exists => if_exists = true,
                Rule::role_specs => names = self.role_specs(part)?,
                _ => {}
            }
        }
        Ok(AccessStatement::DropRole { names, if_exists })
    }

    fn role_option(&self, node: Node<'_>) -> Result<RoleOption> {
        let span = self.span(&node);
        let inner = child(node, "an option")?;
        Ok(match inner.as_rule() {
            Rule::role_flag => {
                let word = self.text(&inner).to_ascii_lowercase();
                let (on, word) = match word.strip_prefix("no") {
                    Some(rest) => (false, rest),
                    None => (true, word.as_str()),
                };
                match word {
                    "superuser" => RoleOption::Superuser(on),
                    "createrole" => RoleOption::CreateRole(on),
                    "createdb" => RoleOption::CreateDatabase(on),
                    "inherit" => RoleOption::Inherit(on),
                    "login" => RoleOption::Login(on),
                    "replication" => RoleOption::Replication(on),
                    _ => RoleOption::BypassRowSecurity(on),
                }
            }
            Rule::role_password => RoleOption::Password(
                children(inner)
                    .next()
                    .map(|password| self.string(password))
                    .transpose()?,
            ),
            Rule::role_limit => {
                let number = child(inner, "a limit")?;
                let limit = self.signed_number(&number).parse().map_err(|_| {
                    super::syntax_error("the connection limit is out of range", span)
                })?;
                RoleOption::ConnectionLimit(limit, span)
            }
            Rule::role_until => RoleOption::ValidUntil(self.string(child(inner, "a time")?)?, span),
            Rule::role_in => RoleOption::In(self.roles_in(inner)?),
            Rule::role_admins => RoleOption::Admins(self.roles_in(inner)?),
            _ => RoleOption::Members(self.roles_in(inner)?),
        })
    }

    /// SET ROLE, SET SESSION AUTHORIZATION, and their RESET.
    pub(super) fn set_role(&self, node: Node<'_>) -> Result<SessionStatement> {
        let authorization =
            node.as_rule() == Rule::set_authorization || has(&node, Rule::session_authorization);
        let mut scope = match node.as_rule() {
            Rule::reset_role => SetScope::Reset,
            _ => SetScope::Session,
        };
        let mut role = None;
        for part in children(node) {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::local_scope => scope = SetScope::Local,
                Rule::role_spec => role = Some(self.role_spec(part)?),
                Rule::string => {
                    let name = self.string(part)?;
                    role = Some(RoleSpec::Named(Ident {
                        name,
                        quoted: true,
                        span,
                    }));
                }
                _ => {}
            }
        }
        Ok(SessionStatement::SetRole {
            scope,
            authorization,
            role,
        })
    }

    fn grant(&self, node: Node<'_>, revoke: bool) -> Result<AccessStatement> {
        let mut parts = GrantParts::default();
        for part in children(node) {
            match part.as_rule() {
                Rule::privilege_list => self.privileges(part, &mut parts)?,
                Rule::grant_target => {
                    parts.target = Some(self.grant_target(child(part, "a target")?)?);
                }
                Rule::role_specs => parts.roles = self.role_specs(part)?,
                Rule::role_names => parts.names = self.column_names(part)?,
                Rule::granted_by => {
                    parts.granted_by = Some(self.role_spec(child(part, "the grantor")?)?);
                }
                Rule::drop_behavior => parts.cascade = has(&part, Rule::cascade_word),
                Rule::hierarchy_option => {}
                Rule::hierarchy_option_for => {
                    return Err(unsupported("HIERARCHY OPTION FOR is", self.span(&part))
                        .hint("There are no subtables that it could be about."));
                }
                // WITH GRANT OPTION and the like.
                _ => parts.option = true,
            }
        }
        Ok(match parts.target {
            Some(target) => AccessStatement::Privileges(Box::new(GrantPrivileges {
                revoke,
                grant_option: parts.option,
                privileges: parts.privileges,
                all_columns: parts.all_columns,
                target,
                grantees: parts.roles,
                granted_by: parts.granted_by,
                cascade: parts.cascade,
            })),
            None => AccessStatement::Roles(GrantRoles {
                revoke,
                admin_option: parts.option,
                roles: parts.names,
                members: parts.roles,
                granted_by: parts.granted_by,
                cascade: parts.cascade,
            }),
        })
    }

    fn privileges(&self, node: Node<'_>, parts: &mut GrantParts) -> Result<()> {
        for part in children(node) {
            let all = part.as_rule() == Rule::all_privileges;
            let mut name = None;
            let mut columns = Vec::new();
            for piece in children(part) {
                match piece.as_rule() {
                    Rule::label => name = Some(self.ident(piece)?),
                    _ => columns = self.column_names(piece)?,
                }
            }
            if all {
                parts.all_columns = columns;
                continue;
            }
            parts.privileges.push(NamedPrivilege {
                name: name.ok_or_else(|| broken("a privilege"))?,
                columns,
            });
        }
        Ok(())
    }

    fn grant_target(&self, node: Node<'_>) -> Result<GrantTarget> {
        let rule = node.as_rule();
        if rule == Rule::target_routines {
            return self.routines(node);
        }
        let mut names = Vec::new();
        let mut idents = Vec::new();
        let mut all = AllKind::Tables;
        let mut other = "";
        for part in children(node) {
            match part.as_rule() {
                Rule::qualified_name => names.push(self.object_name(part)?),
                Rule::name => idents.push(self.ident(part)?),
                Rule::all_sequences => all = AllKind::Sequences,
                Rule::all_routines => all = AllKind::Routines,
                _ => {
                    other = if has(&part, Rule::kw_collation) {
                        "COLLATION"
                    } else if has(&part, Rule::kw_translation) {
                        "TRANSLATION"
                    } else if has(&part, Rule::kw_language) {
                        "LANGUAGE"
                    } else {
                        "CHARACTER SET"
                    };
                }
            }
        }
        Ok(match rule {
            Rule::target_all => GrantTarget::AllIn(all, idents),
            Rule::target_sequences => GrantTarget::Sequences(names),
            Rule::target_schemas => GrantTarget::Schemas(idents),
            Rule::target_databases => GrantTarget::Databases(idents),
            Rule::target_types => GrantTarget::Types(names),
            Rule::target_domains => GrantTarget::Domains(names),
            Rule::target_other => GrantTarget::Other {
                kind: other,
                name: names.pop().ok_or_else(|| broken("GRANT's object"))?,
            },
            _ => GrantTarget::Tables(names),
        })
    }

    fn routines(&self, node: Node<'_>) -> Result<GrantTarget> {
        let mut kind = RoutineKind {
            word: "ROUTINE",
            specific: false,
        };
        let mut names = Vec::new();
        for part in children(node) {
            if part.as_rule() == Rule::routine_kind {
                for piece in children(part) {
                    match piece.as_rule() {
                        Rule::specific_word => kind.specific = true,
                        _ => kind.word = routine_word(&piece),
                    }
                }
                continue;
            }
            let mut name = None;
            let mut arguments = None;
            let mut of_type = None;
            for piece in children(part) {
                match piece.as_rule() {
                    Rule::qualified_name => name = Some(self.object_name(piece)?),
                    Rule::routine_arguments => {
                        arguments = Some(
                            children(piece)
                                .map(|argument| self.type_name(argument))
                                .collect::<Result<_>>()?,
                        );
                    }
                    _ => of_type = Some(self.object_name(child(piece, "a type")?)?),
                }
            }
            names.push(RoutineName {
                name: name.ok_or_else(|| broken("a routine's name"))?,
                arguments,
                of_type,
            });
        }
        Ok(GrantTarget::Routines(kind, names))
    }

    fn alter_owner(&self, node: Node<'_>) -> Result<AccessStatement> {
        let span = self.span(&node);
        let mut object = None;
        let mut if_exists = false;
        let mut name = None;
        let mut to = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::owned_object => {
                    let inner = child(part.clone(), "an object")?;
                    object = Some(match inner.as_rule() {
                        Rule::database_object => OwnedKind::Database,
                        Rule::type_object => OwnedKind::Type,
                        Rule::domain_object => OwnedKind::Domain,
                        _ => OwnedKind::Relation(object_kind(&part)),
                    });
                }
                Rule::if_exists => if_exists = true,
                Rule::qualified_name => name = Some(self.object_name(part)?),
                _ => to = Some(self.role_spec(part)?),
            }
        }
        let object = object.ok_or_else(|| broken("what is owned"))?;
        if object == OwnedKind::Relation(crate::ast::ObjectKind::Index) {
            return Err(unsupported("an index with an owner of its own is", span)
                .hint("An index belongs to the owner of its table."));
        }
        Ok(AccessStatement::Owner {
            object,
            if_exists,
            name: name.ok_or_else(|| broken("the name of what is owned"))?,
            to: to.ok_or_else(|| broken("the new owner"))?,
        })
    }
}

fn routine_word(node: &Node<'_>) -> &'static str {
    if has(node, Rule::kw_instance) {
        "INSTANCE METHOD"
    } else if has(node, Rule::kw_static) {
        "STATIC METHOD"
    } else if has(node, Rule::kw_constructor) {
        "CONSTRUCTOR METHOD"
    } else if has(node, Rule::kw_method) {
        "METHOD"
    } else if has(node, Rule::kw_function) {
        "FUNCTION"
    } else if has(node, Rule::kw_procedure) {
        "PROCEDURE"
    } else {
        "ROUTINE"
    }
}
