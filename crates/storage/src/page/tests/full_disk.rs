//! A full disk shows before anything is changed, and harms nothing.

use super::{Model, check, check_clean, create, fill, open, tiny};
use crate::{
    codec::Codec,
    env::Env,
    error::{Error, Result},
    lsn::Lsn,
    page::PageStore,
    vfs_memory::MemoryVfs,
};

fn is_full<T: std::fmt::Debug>(result: Result<T>) -> bool {
    match result {
        Ok(_) => false,
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::StorageFull => true,
        other => panic!("{other:?}"),
    }
}

/// Allocates until the disk is full.
fn fill_up(store: &PageStore, model: &mut Model) {
    loop {
        let mut page = match store.allocate() {
            Ok(page) => page,
            full => return assert!(is_full(full)),
        };
        let id = page.id();
        fill(&mut page, id, 1);
        model.insert(id, 1);
    }
}

fn checkpoint(store: &PageStore, lsn: u64) {
    store
        .write_checkpoint(store.freeze(Lsn(lsn), vec![7; 900]).unwrap())
        .unwrap();
    check_clean(store);
}

#[test]
fn a_full_disk_refuses_changes_and_nothing_else() {
    for (codec, frames) in [(Codec::None, 10), (Codec::None, 5000), (Codec::Lz4, 10)] {
        let vfs = MemoryVfs::with_limit(600 << 10);
        let env = Env::with_vfs(vfs.clone());
        let store = create(&env, tiny(codec, frames)).unwrap();
        checkpoint(&store, 0);
        let mut model = Model::new();
        fill_up(&store, &mut model);
        assert!(model.len() > 300, "{}", model.len());
        check(&store, &model);
        // What has been promised room can be made durable.
        checkpoint(&store, 1);
        check(&store, &model);
        // A durable page needs a second slot to change, for which there is no room.
        let ids: Vec<_> = model.keys().copied().collect();
        let mut changed = 0;
        for id in &ids {
            let Ok(mut page) = store.write(*id) else {
                break;
            };
            fill(&mut page, *id, 2);
            model.insert(*id, 2);
            changed += 1;
        }
        assert!(changed < ids.len(), "some change finds no room");
        check(&store, &model);
        checkpoint(&store, 2);
        drop(store);
        let (store, info) = open(&env, tiny(codec, frames)).unwrap();
        assert_eq!(info.lsn, Lsn(2));
        check(&store, &model);
        assert!(is_full(store.reserve(10_000).map(drop)));
        // With room on the disk everything goes on.
        vfs.set_limit(10 << 20);
        drop(store.reserve(1000).unwrap());
        for id in &ids {
            fill(&mut store.write(*id).unwrap(), *id, 3);
            model.insert(*id, 3);
        }
        checkpoint(&store, 3);
        check(&store, &model);
    }
}

#[test]
fn what_is_freed_makes_room() {
    let vfs = MemoryVfs::with_limit(600 << 10);
    let env = Env::with_vfs(vfs);
    let store = create(&env, tiny(Codec::None, 10)).unwrap();
    let mut model = Model::new();
    fill_up(&store, &mut model);
    for (id, _) in std::mem::take(&mut model).into_iter().take(200) {
        store.free(store.hold_to_free(id).unwrap());
    }
    checkpoint(&store, 1);
    let mut again = Model::new();
    fill_up(&store, &mut again);
    assert!(again.len() > 100, "{}", again.len());
    check_clean(&store);
}

#[test]
fn reserved_room_is_there_when_it_is_needed() {
    let vfs = MemoryVfs::with_limit(600 << 10);
    let env = Env::with_vfs(vfs);
    let store = create(&env, tiny(Codec::None, 10)).unwrap();
    let reservation = store.reserve(200).unwrap();
    assert!(is_full(store.reserve(400).map(drop)));
    for _ in 0..200 {
        store.allocate().unwrap();
    }
    drop(reservation);
    checkpoint(&store, 1);
    assert_eq!(store.stats().pages, 200);
}

#[test]
fn reading_beside_a_checkpoint_needs_no_room() {
    let vfs = MemoryVfs::with_limit(680 << 10);
    let env = Env::with_vfs(vfs.clone());
    let store = create(&env, tiny(Codec::None, 150)).unwrap();
    let mut model = Model::new();
    for _ in 0..400 {
        let mut page = store.allocate().unwrap();
        let id = page.id();
        fill(&mut page, id, 1);
        model.insert(id, 1);
    }
    checkpoint(&store, 1);
    for round in 2..40 {
        // Changes until there is no room for one more; all but what has been evicted is in memory.
        let mut refused = false;
        for (id, version) in &mut model {
            let Ok(mut page) = store.write(*id) else {
                refused = true;
                break;
            };
            fill(&mut page, *id, round);
            *version = round;
        }
        assert!(refused, "some change finds no room");
        let frozen = store.freeze(Lsn(round), vec![7; 900]).unwrap();
        std::thread::scope(|scope| {
            // Readers want all frames, so that changed pages leave while the checkpoint writes them.
            for _ in 0..2 {
                scope.spawn(|| check(&store, &model));
            }
            store.write_checkpoint(frozen).unwrap();
        });
        check_clean(&store);
    }
}
