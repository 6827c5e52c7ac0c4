//! Arbitrary page images and superblocks.

use std::path::Path;

use super::{
    image::{IMAGE_HEADER, ImageKind, Location, Owner, UNIT, check, seal, unpack},
    superblock::{self, COPY_SIZE},
};

const SALT: u64 = 7;

/// The input as an image: raw, and under a header that verifies.
pub(crate) fn images(data: &[u8]) {
    let _ = Location::decode(data);
    let [codec, stored @ ..] = data else { return };
    let mut payload = vec![0; 4064];
    let _ = unpack(*codec, stored, &mut payload);
    let owner = Owner {
        kind: ImageKind::Data,
        id: 1,
    };
    let mut image = vec![0; IMAGE_HEADER];
    image.extend_from_slice(stored);
    image.resize(image.len().next_multiple_of(UNIT).min(64 * UNIT), 0);
    let held = image.len() - IMAGE_HEADER;
    let location = seal(
        &mut image,
        owner,
        8,
        3,
        SALT,
        *codec,
        stored.len().min(held),
    );
    let checked = check(&image, &location, owner, SALT);
    let Ok((codec, len)) = checked else {
        assert!(stored.len() > held, "{checked:?}");
        return;
    };
    let bytes = image.get(IMAGE_HEADER..IMAGE_HEADER + len);
    let _ = unpack(codec, bytes.unwrap_or_default(), &mut payload);
    let at = usize::from(stored.first().copied().unwrap_or(0)) % image.len();
    image[at] ^= 1;
    assert!(
        check(&image, &location, owner, SALT).is_err(),
        "a flip at {at}"
    );
}

/// The input as copies of a superblock: raw, and with checksums that match.
pub(crate) fn superblocks(data: &[u8]) {
    let path = Path::new("data");
    let _ = superblock::choose(data, path);
    let mut region = data.to_vec();
    for copy in region.chunks_exact_mut(COPY_SIZE) {
        superblock::reseal(copy);
    }
    let _ = superblock::choose(&region, path);
    // The same state in each place, as a good one has.
    let mut first = data.to_vec();
    first.resize(COPY_SIZE, 0);
    let copies = (0..4).flat_map(|copy| superblock::as_copy(&first, copy));
    let _ = superblock::choose(&copies.collect::<Vec<u8>>(), path);
}
