//! How a staging keyspace writes down a put or a delete as a value of its own.
//!
//! A staging keyspace holds changes that have not happened yet, so a delete is an entry like a
//! put: the first byte of the value tells them apart.

const PUT: u8 = 1;
const DELETE: u8 = 0;

/// The staged form of "set to `value`".
#[must_use]
pub fn encode_put(value: &[u8]) -> Vec<u8> {
    let mut staged = Vec::with_capacity(value.len() + 1);
    append_put(value, &mut staged);
    staged
}

/// Appends the staged form of "set to `value`".
pub fn append_put(value: &[u8], staged: &mut Vec<u8>) {
    staged.push(PUT);
    staged.extend_from_slice(value);
}

/// The staged form of "delete".
#[must_use]
pub fn encode_delete() -> Vec<u8> {
    vec![DELETE]
}

/// The value that a staged entry puts, or `None` where it deletes.
#[must_use]
pub fn decode(staged: &[u8]) -> Option<&[u8]> {
    match staged.split_first() {
        Some((&PUT, value)) => Some(value),
        _ => None,
    }
}
