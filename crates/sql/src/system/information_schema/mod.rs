//! The standard's views on the catalog (SQL:2016 part 11), with the columns that PostgreSQL gives
//! them.

mod constraints;
mod privileges;
mod routines;
mod tables;

use super::SystemRelation;

/// The relations, room by room.
pub(super) const RELATIONS: &[&[SystemRelation]] = &[
    tables::RELATIONS,
    constraints::RELATIONS,
    routines::RELATIONS,
    privileges::RELATIONS,
];
