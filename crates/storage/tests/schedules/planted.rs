//! Schedules that find nothing prove nothing: defects that must be found.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use rustling_testkit::harness::{Defect, DefectiveVfs};

use crate::world::{World, explore, key, value};

fn is_found(scenario: fn()) -> String {
    let found = catch_unwind(AssertUnwindSafe(|| explore(200, scenario)));
    let found = found.expect_err("the defect was not found");
    let text = found.downcast_ref::<String>().cloned();
    let text = text.or_else(|| found.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_default()
}

fn commits(world: &World) {
    let committers: Vec<_> = (0..3)
        .map(|who| {
            world.spawn(move |world| {
                for step in 0..2 {
                    let done = world.promise(&key(who), value(step, 9));
                    assert!(done.is_ok(), "{done:?}");
                }
            })
        })
        .collect();
    committers.into_iter().for_each(|thread| thread.join());
}

/// A log that is written and not synced.
#[test]
fn a_log_that_is_not_synced_is_found() {
    let found = is_found(|| {
        let defect = Defect::SkipSync {
            path: "/wal/".to_owned(),
            within: None,
            outside: None,
            data_only: true,
        };
        let world = World::through(|vfs| Arc::new(DefectiveVfs::new(vfs, defect)));
        commits(&world);
        world.check();
    });
    assert!(found.contains("was durable"), "{found}");
}

/// A wake-up that is lost.
#[test]
fn a_lost_wake_up_is_found() {
    let found = is_found(|| {
        let world = World::through(|vfs| vfs);
        rustling_storage::sync::forget_wake_ups(|| commits(&world));
        world.check();
    });
    assert!(found.contains("deadlock"), "{found}");
}
