//! Arbitrary commits.

use super::{Store, StoreOptions, replay::replay_payloads};
use crate::fuzzing::take_piece;

/// Replays the pieces of the input as commits; what verified before must verify after.
pub(crate) fn commits(mut data: &[u8]) {
    let options = StoreOptions {
        page_size: 4096,
        memory_budget: 1 << 20,
        background: false,
        ..StoreOptions::default()
    };
    let Ok(store) = Store::in_memory(options) else {
        return;
    };
    let mut payloads = Vec::new();
    while let Some(payload) = take_piece(&mut data) {
        payloads.push(payload);
    }
    let core = &store.inner.core;
    let _ = replay_payloads(&core.env, &core.trees, &payloads);
    let report = core.verify();
    assert!(
        report.as_ref().is_ok_and(|report| report.is_clean()),
        "{report:?}"
    );
}
