//! PostgreSQL's system catalog.

mod classes;
mod constraints;
mod functions;
mod others;
mod roles;
mod settings;
mod statistics;
mod types;
mod views;

use super::SystemRelation;

/// The relations, room by room.
pub(super) const RELATIONS: &[&[SystemRelation]] = &[
    classes::RELATIONS,
    constraints::RELATIONS,
    types::RELATIONS,
    functions::RELATIONS,
    roles::RELATIONS,
    settings::RELATIONS,
    statistics::RELATIONS,
    views::RELATIONS,
    others::RELATIONS,
];
