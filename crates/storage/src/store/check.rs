//! Verification: of an open store, and of a directory that nobody has open.

use std::{collections::HashSet, path::Path, ptr, sync::Arc};

use super::{
    core::Core,
    engine::Engine,
    open::{self, DATA_FILE, LOCK_FILE, log_dir},
    options::StoreOptions,
    plan::Trees,
    replay,
};
use crate::{
    env::Env,
    error::{Error, Result},
    keyspace::Keyspace,
    manifest::Manifest,
    page::{PageId, PageStore},
    poison::Poison,
    verify::VerifyReport,
    wal,
};

/// Memory that an offline check uses for pages.
const CACHE: usize = 16 << 20;

/// Checks the store in `dir`, which nobody may be writing: superblocks, page table, free
/// space, trees, tables, manifest, and the log, which is replayed in memory. Changes nothing, and lists
/// every finding instead of stopping at the first.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Locked`], [`Error::Io`] where a file cannot be read,
/// [`Error::Version`].
pub fn check(env: &Env, dir: &Path) -> Result<VerifyReport> {
    let data = dir.join(DATA_FILE);
    let exists = |path: &Path| {
        env.vfs
            .exists(path)
            .map_err(|error| Error::io("look for", path, error))
    };
    if !exists(&data)? {
        return Err(Error::NotFound {
            path: dir.to_path_buf(),
        });
    }
    let locked = env.vfs.lock(&dir.join(LOCK_FILE), false);
    let _lock = match locked {
        Ok(lock) => Some(lock),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            return Err(Error::Locked {
                path: dir.to_path_buf(),
            });
        }
        Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => None,
        Err(error) => return Err(Error::io("lock", dir.join(LOCK_FILE), error)),
    };
    let mut report = VerifyReport::default();
    let checked = check_files(env, dir, &mut report);
    note(&mut report, checked)?;
    Ok(report)
}

fn check_files(env: &Env, dir: &Path, report: &mut VerifyReport) -> Result<()> {
    let options = StoreOptions {
        memory_budget: 2 * CACHE,
        read_only: true,
        background: false,
        ..StoreOptions::default()
    };
    let poison = Arc::new(Poison::new());
    let (pages, info) = PageStore::open(env, dir, options.pages()?, Arc::clone(&poison), true)?;
    if open::is_unfinished(&info) {
        return Err(Error::NotFound {
            path: dir.to_path_buf(),
        });
    }
    let checked = pages.verify(report);
    note(report, checked)?;
    let manifest = Manifest::decode(&info.metadata, pages.path())?;
    let media = open::media(env, dir, &options, pages, &poison);
    let trees = open::open_trees(media, &manifest, poison)?;
    verify_trees(&trees, report)?;
    if report.is_clean() {
        let log_dir = log_dir(dir);
        let how = open::replay_options(&options);
        replay::replay(env, &log_dir, &manifest, info.lsn, how, &trees)?;
        verify_trees(&trees, report)
    } else {
        // What is damaged cannot be replayed onto, but the log itself can be read.
        let start = (manifest.replay_from, info.lsn);
        wal::read(
            env,
            &log_dir(dir),
            manifest.store,
            start,
            true,
            &mut |_, _| Ok(()),
        )
        .map(|_| ())
    }
}

/// Makes a finding of damage; other errors are passed on.
fn note(report: &mut VerifyReport, result: Result<()>) -> Result<()> {
    match result {
        Err(Error::Corrupt {
            file,
            offset,
            reason,
        }) => {
            report.add(file, Some(offset), reason);
            Ok(())
        }
        other => other,
    }
}

/// Checks every engine, and that each page belongs to exactly one tree.
fn verify_trees(trees: &Trees, report: &mut VerifyReport) -> Result<()> {
    let catalog = &trees.catalog;
    let mut roots = catalog.list_where(|_| true);
    roots.extend(
        catalog
            .garbage
            .lock()
            .iter()
            .map(|(_, keyspace)| Arc::clone(keyspace)),
    );
    // A dropped keyspace is listed twice, an adopted engine has two keyspaces, and so has a tree
    // that has become the base of a hybrid one, which has tables besides.
    let is_tree = |keyspace: &Keyspace| matches!(*keyspace.engine, Engine::BTree(_));
    roots.sort_by_key(|keyspace| (is_tree(keyspace), keyspace.id));
    let mut seen = HashSet::new();
    roots.retain(|keyspace| {
        seen.insert(match keyspace.engine.tree() {
            Some(tree) => ptr::from_ref(tree).addr(),
            None => Arc::as_ptr(&keyspace.engine).addr(),
        })
    });
    let mut reached: Vec<PageId> = Vec::new();
    for keyspace in roots {
        let checked = keyspace
            .engine
            .verify(&mut |page| reached.push(page), report);
        note(report, checked)?;
    }
    reached.sort_unstable();
    let data = trees.media.pages.path().to_path_buf();
    for pair in reached.windows(2).filter(|pair| pair[0] == pair[1]) {
        report.add(
            &data,
            None,
            format!("page {} belongs to two trees", pair[0].0),
        );
    }
    for page in trees.media.pages.allocated_pages() {
        if reached.binary_search(&page).is_err() {
            report.add(&data, None, format!("page {} belongs to no tree", page.0));
        }
    }
    Ok(())
}

impl Core {
    /// Checks everything while commits wait.
    pub(crate) fn verify(&self) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        // No checkpoint either: it would replace what is being checked.
        let _checkpoints = self.checkpoints.lock();
        let _change = self.trees.catalog.change.lock();
        let _barrier = self.wait_points.barrier.time(|| self.barrier.write());
        let checked = self.trees.media.pages.verify(&mut report);
        note(&mut report, checked)?;
        verify_trees(&self.trees, &mut report)?;
        Ok(report)
    }
}
