//! Damage at rest: whatever happens to the bytes of a closed program's files, it answers with
//! an error or as if nothing had happened.

use std::path::{Path, PathBuf};

use super::{
    parallel::without_panics,
    state::{Model, StateHash, difference},
    subject::Subject,
    violation::{Problem, Violation},
};
use crate::sim::{DiskImage, SimEnv};

/// One way to damage a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Damage {
    /// This bit, counted from the start of the file, is the other way round.
    Bit(u64),
    /// The file ends here.
    Truncated(u64),
    /// This many random bytes follow the file.
    Extended(u64),
    /// This sector of 512 bytes reads as zeros.
    ZeroedSector(u64),
    /// This sector holds what this other one does: a misdirected write.
    CopiedSector(u64, u64),
    /// The file is gone.
    Removed,
}

/// What was tried, and what was broken.
#[derive(Clone, Debug, Default)]
pub struct CorruptionTally {
    /// Damaged images tried.
    pub images: u64,
    /// Images that gave an error.
    pub detected: u64,
    /// Images that made no difference.
    pub harmless: u64,
    /// Images on which only steps were missing that may be: damage that looks like a torn tail.
    pub torn: u64,
    /// The broken promises.
    pub violations: Vec<Violation>,
}

impl CorruptionTally {
    /// Adds another tally.
    pub fn merge(&mut self, other: CorruptionTally) {
        self.images += other.images;
        self.detected += other.detected;
        self.harmless += other.harmless;
        self.torn += other.torn;
        self.violations.extend(other.violations);
    }
}

/// A set of damages to try on the files of one image.
#[derive(Clone, Debug)]
pub struct CorruptionSweep {
    image: DiskImage,
    /// The contents that must be read, if any are.
    intact: StateHash,
    /// Contents that are also allowed: those before the last batches, whose damage cannot be
    /// told from a torn write.
    torn: Vec<StateHash>,
    expected: Model,
}

impl CorruptionSweep {
    /// A sweep over an image of a program whose contents are `expected`, or, where the image
    /// was not closed in good order, may also be one of `torn`.
    #[must_use]
    pub fn new(image: DiskImage, expected: Model, torn: Vec<StateHash>) -> CorruptionSweep {
        CorruptionSweep {
            image,
            intact: StateHash::of(&expected),
            torn,
            expected,
        }
    }

    /// The contents that an undamaged image has.
    #[must_use]
    pub fn expected(&self) -> &Model {
        &self.expected
    }

    /// Bytes of all files together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.image.files().iter().map(|(_, len)| len).sum()
    }

    /// Every damage of every file: all bits, all lengths, all sectors.
    #[must_use]
    pub fn everything(&self) -> Vec<(PathBuf, Damage)> {
        self.all(|_, _| true)
    }

    /// As [`CorruptionSweep::everything`], except that of reserved space (bytes that are zero)
    /// only one bit in each byte is flipped and only lengths in steps of 256 bytes are tried.
    #[must_use]
    pub fn thorough(&self, seed: u64) -> Vec<(PathBuf, Damage)> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut chosen = (u64::MAX, 0);
        self.all(|damage, byte| match damage {
            Damage::Bit(bit) if byte == 0 => {
                if chosen.0 != bit / 8 {
                    chosen = (bit / 8, rng.u64(..8));
                }
                bit % 8 == chosen.1
            }
            Damage::Truncated(len) if byte == 0 => len.is_multiple_of(256),
            _ => true,
        })
    }

    /// All damages that `wanted` picks, given the byte at the place of the damage.
    fn all(&self, mut wanted: impl FnMut(Damage, u8) -> bool) -> Vec<(PathBuf, Damage)> {
        let mut all = Vec::new();
        for (path, len) in self.image.files() {
            let bytes = self.image.read(&path).unwrap_or_default();
            let sectors = len / 512;
            let bits = (0..len * 8).map(|bit| (Damage::Bit(bit), bytes[(bit / 8) as usize]));
            let lengths = (0..len).map(|len| (Damage::Truncated(len), bytes[len as usize]));
            let zeroed = (0..sectors).map(|sector| (Damage::ZeroedSector(sector), 0));
            let copied = (0..sectors).flat_map(|sector| {
                [1, 8, 16, 32].map(move |distance| {
                    (
                        Damage::CopiedSector(sector, (sector + distance) % sectors),
                        0,
                    )
                })
            });
            let extended = [1, 511, 512, 4096, 10_000].map(|more| (Damage::Extended(more), 0));
            let whole = [(Damage::Removed, 0)].into_iter().chain(extended);
            let damages = whole.chain(bits).chain(lengths).chain(zeroed).chain(copied);
            all.extend(
                damages
                    .filter(|(damage, byte)| wanted(*damage, *byte))
                    .map(|(damage, _)| (path.clone(), damage)),
            );
        }
        all
    }

    /// A random part of [`CorruptionSweep::everything`], without building all of it. Bytes
    /// that are zero, as reserved space is, are drawn less often.
    #[must_use]
    pub fn sample(&self, count: usize, seed: u64) -> Vec<(PathBuf, Damage)> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let files: Vec<(PathBuf, Vec<u8>)> = self
            .image
            .files()
            .into_iter()
            .filter_map(|(path, _)| self.image.read(&path).ok().map(|bytes| (path, bytes)))
            .collect();
        let mut drawn: Vec<_> = files
            .iter()
            .map(|(path, _)| (path.clone(), Damage::Removed))
            .collect();
        let full: Vec<_> = files
            .iter()
            .filter(|(_, bytes)| !bytes.is_empty())
            .collect();
        while drawn.len() < count && !full.is_empty() {
            let (path, bytes) = full[rng.usize(..full.len())];
            let len = bytes.len() as u64;
            let mut at = rng.u64(..len);
            for _ in 0..4 {
                if bytes[at as usize] == 0 {
                    at = rng.u64(..len);
                }
            }
            let sectors = len / 512;
            let damage = match rng.u8(..10) {
                0..=5 => Damage::Bit(at * 8 + rng.u64(..8)),
                6 | 7 => Damage::Truncated(at),
                8 if sectors > 0 => Damage::ZeroedSector(at / 512 % sectors),
                9 if sectors > 1 => Damage::CopiedSector(at / 512 % sectors, rng.u64(..sectors)),
                _ => Damage::Extended(rng.u64(1..10_000)),
            };
            drawn.push((path.clone(), damage));
        }
        drawn
    }

    /// Tries each damage on a fresh copy.
    pub fn run<S: Subject>(&self, subject: &S, damages: &[(PathBuf, Damage)]) -> CorruptionTally {
        let mut tally = CorruptionTally::default();
        for (path, damage) in damages {
            let Some(image) = self.damaged(path, *damage) else {
                continue;
            };
            tally.images += 1;
            let verdict = without_panics(|| self.judge(subject, &image))
                .unwrap_or_else(|panic| Err((Problem::Panicked, panic)));
            match verdict {
                Ok(Verdict::Detected) => tally.detected += 1,
                Ok(Verdict::Harmless) => tally.harmless += 1,
                Ok(Verdict::Torn) => tally.torn += 1,
                Err((problem, detail)) => tally.violations.push(Violation {
                    problem,
                    seed: 0,
                    operations: 0,
                    crash: None,
                    second: None,
                    detail: format!("{} {damage:?}: {detail}", path.display()),
                }),
            }
        }
        tally
    }

    fn damaged(&self, path: &Path, damage: Damage) -> Option<DiskImage> {
        let mut image = self.image.clone();
        match damage {
            Damage::Bit(bit) => image.flip_bit(path, bit).ok()?,
            Damage::Truncated(len) => image.set_len(path, len).ok()?,
            Damage::Extended(more) => {
                let len = image.read(path).ok()?.len() as u64;
                let mut bytes = vec![0; usize::try_from(more).ok()?];
                fastrand::Rng::with_seed(more).fill(&mut bytes);
                image.overwrite(path, len, &bytes).ok()?;
            }
            Damage::ZeroedSector(sector) => image.overwrite(path, sector * 512, &[0; 512]).ok()?,
            Damage::CopiedSector(to, from) => {
                let bytes = image.read(path).ok()?;
                let start = usize::try_from(from * 512).ok()?;
                image
                    .overwrite(path, to * 512, bytes.get(start..start + 512)?)
                    .ok()?;
            }
            Damage::Removed => image.remove(path).ok()?,
        }
        Some(image)
    }

    fn judge<S: Subject>(
        &self,
        subject: &S,
        image: &DiskImage,
    ) -> Result<Verdict, (Problem, String)> {
        let world = SimEnv::from_image(image, 0);
        let Ok(instance) = subject.open(world.env()) else {
            return Ok(Verdict::Detected);
        };
        let mut found = Model::new();
        let read = subject.contents(&instance, &mut |key, value| {
            found.insert(key.to_vec(), value.to_vec());
        });
        // Verification must survive damage as well; what it says does not matter here.
        let verified = subject.verify(&instance);
        if read.is_err() {
            return Ok(Verdict::Detected);
        }
        let hash = StateHash::of(&found);
        if hash == self.intact {
            return Ok(if verified.is_ok() {
                Verdict::Harmless
            } else {
                Verdict::Detected
            });
        }
        if self.torn.contains(&hash) {
            return Ok(Verdict::Torn);
        }
        Err((
            Problem::Unreadable,
            format!(
                "a wrong answer without an error: {}",
                difference(&self.expected, &found)
            ),
        ))
    }
}

enum Verdict {
    Detected,
    Harmless,
    Torn,
}
