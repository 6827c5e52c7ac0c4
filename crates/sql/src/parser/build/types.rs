//! CREATE TYPE, CREATE DOMAIN, and their DROP.

use super::{Builder, Node, broken, children, has};
use crate::{
    ast::{CreateDomain, CreateType, DropType},
    error::Result,
    parser::grammar::Rule,
};

impl Builder<'_> {
    pub(super) fn create_type(&self, node: Node<'_>) -> Result<CreateType> {
        let mut name = None;
        let mut base = None;
        for part in children(node) {
            match part.as_rule() {
                Rule::qualified_name => name = Some(self.object_name(part)?),
                _ => base = Some(self.type_name(part)?),
            }
        }
        Ok(CreateType {
            name: name.ok_or_else(|| broken("the type's name"))?,
            base,
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
