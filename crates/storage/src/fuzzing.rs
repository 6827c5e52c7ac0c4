//! What the fuzz targets (`fuzz/`) feed with arbitrary bytes: everything that reads a file.
//!
//! Each function takes any bytes and must come back: damage is an error value, never a panic,
//! an endless loop or an allocation out of proportion. Checksums would stop nearly all inputs at
//! the door, so most functions put valid ones around the bytes they are given. The inputs that
//! the fuzzer has found worth keeping are in `fuzz/corpus` and run as ordinary tests too.

use crate::{btree, lsm, manifest, page, store, wal};

/// Splits the next piece off: a length of one byte, then as many bytes, or what is left.
pub(crate) fn take_piece<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = data.split_first()?;
    let (piece, rest) = rest.split_at(rest.len().min(usize::from(*len)));
    *data = rest;
    Some(piece)
}

/// Log records: chained ones with payloads of the input, then raw bytes.
pub fn wal_records(data: &[u8]) {
    wal::fuzzing::records(data);
}

/// Commits as the log has them: replayed into a store, which must verify afterwards.
pub fn wal_commits(data: &[u8]) {
    store::fuzzing::commits(data);
}

/// Pages of a B+ tree: as nodes, and in the place of a real tree's pages.
pub fn pages(data: &[u8]) {
    btree::fuzzing::nodes(data);
    btree::fuzzing::tree(data);
}

/// Page images, as they lie in the data file.
pub fn page_images(data: &[u8]) {
    page::fuzzing::images(data);
}

/// Blocks, filters, footers and properties of tables.
pub fn table_blocks(data: &[u8]) {
    lsm::fuzzing::blocks(data);
}

/// The manifest, and the superblock's copies.
pub fn manifest_and_superblock(data: &[u8]) {
    manifest::fuzzing::any_manifest(data);
    page::fuzzing::superblocks(data);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[expect(clippy::disallowed_methods, reason = "the corpus is in the repository")]
    fn replay(target: &str, run: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        let mut count = 0;
        for entry in std::fs::read_dir(corpus.join(target)).unwrap() {
            run(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{target} has no corpus");
        run(&[]);
    }

    #[test]
    fn the_corpus_does_no_harm() {
        replay("wal_records", super::wal_records);
        replay("wal_commits", super::wal_commits);
        replay("pages", super::pages);
        replay("page_images", super::page_images);
        replay("table_blocks", super::table_blocks);
        replay("manifest_and_superblock", super::manifest_and_superblock);
    }
}
