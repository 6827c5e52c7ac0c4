//! CREATE TYPE, ALTER TYPE, CREATE DOMAIN, and their DROP.

use super::{Builder, Node, broken, child, children, has};
use crate::{
    ast::{AlterType, CreateDomain, CreateType, DropType, Label, TypeAction, TypeBody},
    error::Result,
    parser::grammar::Rule,
};

impl Builder<'_> {
    pub(super) fn create_type(&self, node: Node<'_>) -> Result<CreateType> {
        let mut name = None;
        let mut body = TypeBody::Shell;
        for part in children(node) {
            match part.as_rule() {
                Rule::qualified_name => name = Some(self.object_name(part)?),
                Rule::enum_labels => {
                    let labels = children(part).map(|label| self.enum_label(label));
                    body = TypeBody::Enum(labels.collect::<Result<_>>()?);
                }
                _ => body = TypeBody::Alias(self.type_name(part)?),
            }
        }
        Ok(CreateType {
            name: name.ok_or_else(|| broken("the type's name"))?,
            body,
        })
    }

    fn enum_label(&self, node: Node<'_>) -> Result<Label> {
        let span = self.span(&node);
        Ok(Label {
            name: self.string(node)?,
            span,
        })
    }

    pub(super) fn alter_type(&self, node: Node<'_>) -> Result<AlterType> {
        let mut parts = children(node);
        let (Some(name), Some(action)) = (parts.next(), parts.next()) else {
            return Err(broken("what happens to the type"));
        };
        Ok(AlterType {
            name: self.object_name(name)?,
            action: match action.as_rule() {
                Rule::add_value => self.add_value(action)?,
                Rule::rename_value => {
                    let mut labels = children(action).map(|label| self.enum_label(label));
                    let mut next = || labels.next().ok_or_else(|| broken("a label"))?;
                    TypeAction::RenameValue(next()?, next()?)
                }
                Rule::rename_to => TypeAction::Rename(self.ident(child(action, "a name")?)?),
                _ => TypeAction::SetSchema(self.ident(child(action, "a schema")?)?),
            },
        })
    }

    fn add_value(&self, node: Node<'_>) -> Result<TypeAction> {
        let mut label = None;
        let mut if_not_exists = false;
        let mut place = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::if_not_exists => if_not_exists = true,
                Rule::string => label = Some(self.enum_label(part)?),
                rule => {
                    let neighbour = self.enum_label(child(part, "a label")?)?;
                    place = Some((rule == Rule::before_label, neighbour));
                }
            }
        }
        Ok(TypeAction::AddValue {
            label: label.ok_or_else(|| broken("the label"))?,
            if_not_exists,
            place,
        })
    }

    pub(super) fn create_domain(&self, node: Node<'_>) -> Result<CreateDomain> {
        let mut name = None;
        let mut base = None;
        let mut constraints = Vec::new();
        for part in children(node) {
            match part.as_rule() {
                Rule::qualified_name => name = Some(self.object_name(part)?),
                Rule::type_name => base = Some(self.type_name(part)?),
                _ => constraints.extend(self.column_constraint(part)?),
            }
        }
        Ok(CreateDomain {
            name: name.ok_or_else(|| broken("the domain's name"))?,
            base: base.ok_or_else(|| broken("the domain's type"))?,
            constraints,
        })
    }

    pub(super) fn drop_type(&self, node: Node<'_>) -> Result<DropType> {
        let mut drop = DropType {
            domain: false,
            names: Vec::new(),
            if_exists: false,
            cascade: false,
        };
        for part in children(node) {
            match part.as_rule() {
                Rule::domain_object => drop.domain = true,
                Rule::if_exists => drop.if_exists = true,
                Rule::qualified_name => drop.names.push(self.object_name(part)?),
                _ => drop.cascade = has(&part, Rule::cascade_word),
            }
        }
        Ok(drop)
    }
}
