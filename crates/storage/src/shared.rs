//! Bytes that many hold at once, made where they stay.

use std::sync::Arc;

/// `len` zeros, to be filled through [`Arc::make_mut`] as long as nobody else has them: one
/// allocation, where collecting them elsewhere first would be two and a copy.
pub(crate) fn zeroed(len: usize) -> Arc<[u8]> {
    std::iter::repeat_n(0, len).collect()
}
