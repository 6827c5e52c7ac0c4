//! Laying a tree's oldest versions below what it holds already.

use super::{
    compaction::{MAX_LEVELS, roomy_level},
    outputs::Outputs,
    run::{ListedTable, Tables},
    tree::LsmTree,
};
use crate::{
    cursor::VersionCursor,
    error::{Error, Result},
};

/// Versions between looks at whether to go on.
const PATIENCE: usize = 1024;

impl LsmTree {
    /// Writes `versions`, each older than every version of its key in this tree, to tables and
    /// puts them below all others. The tree was made to lie in front of them, and rests on the
    /// ground from then on. `go_on` is asked now and then, and ends the work with its error.
    ///
    /// # Errors
    /// [`Error::Io`] (a full disk leaves everything as it was), [`Error::Corrupt`],
    /// [`Error::Closed`] where the tree has been given away; those of `go_on`.
    pub(crate) fn lay_below(
        &self,
        versions: &mut dyn VersionCursor,
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        let mut outputs = Outputs::new(&self.space, MAX_LEVELS);
        let mut count = 0_usize;
        while versions.advance()? {
            if count.is_multiple_of(PATIENCE) {
                go_on()?;
            }
            count += 1;
            outputs.add(versions.version())?;
        }
        let tables = outputs.finish()?;
        // A compaction under way does not know of these tables: what it thinks it may drop hides
        // older versions in them.
        let _picker = self.picker.lock();
        let bytes: u64 = tables.iter().map(|table| table.len()).sum();
        let installed = self.change(|version| {
            if !tables.is_empty() {
                let least = version.levels.len() + 1;
                let level = roomy_level(&self.space.options, least, bytes);
                let tables = ListedTable::all_plain(tables.clone());
                *version.level_mut(level) = Tables::new(tables);
            }
            self.space.note_change();
        });
        if !installed {
            tables.iter().for_each(|table| table.retire());
            return Err(Error::Closed);
        }
        self.settle_on_ground();
        Ok(())
    }
}
