//! The history of a simulated disk: one run gives the state after each of its operations.

use std::collections::HashMap;

use super::{
    disk::{Disk, Effect, NodeId},
    image::DiskImage,
};

/// Every this many effects the whole state is kept, so that any state is near one.
const KEYFRAME_EVERY: usize = 64;

#[derive(Clone, Debug)]
struct Step {
    /// Index of the operation that had the effect.
    sequence: u64,
    effect: Effect,
}

/// What happened to a disk since recording began.
#[derive(Clone, Debug)]
pub struct Recording {
    steps: Vec<Step>,
    /// The state before step `n * KEYFRAME_EVERY`.
    keyframes: Vec<Disk>,
    first: u64,
    end: u64,
}

impl Recording {
    pub(crate) fn new(disk: &Disk, next_operation: u64) -> Recording {
        Recording {
            steps: Vec::new(),
            keyframes: vec![disk.clone()],
            first: next_operation,
            end: next_operation,
        }
    }

    /// Notes an effect; `after` is the disk with it.
    pub(crate) fn push(&mut self, sequence: u64, effect: Effect, after: &Disk) {
        self.steps.push(Step { sequence, effect });
        if self.steps.len().is_multiple_of(KEYFRAME_EVERY) {
            self.keyframes.push(after.clone());
        }
    }

    pub(crate) fn finish(mut self, next_operation: u64) -> Recording {
        self.end = next_operation;
        self
    }

    /// Index of the first operation in the recording.
    #[must_use]
    pub fn first_operation(&self) -> u64 {
        self.first
    }

    /// Index after the last operation in the recording.
    #[must_use]
    pub fn end_operation(&self) -> u64 {
        self.end
    }

    /// The numbers of completed operations at which the disk is in a new state: the start, and
    /// the count after each operation that changed or synced something. Crashes at other
    /// moments leave the same images as at the one before.
    #[must_use]
    pub fn crash_points(&self) -> Vec<u64> {
        let mut points = vec![self.first];
        for step in &self.steps {
            let after = step.sequence + 1;
            if points.last() != Some(&after) {
                points.push(after);
            }
        }
        points
    }

    /// What happened in operations `from..to`, one line each, for people who look for the cause
    /// of a failure. Files are called by their names at the end of the recording, else by number.
    #[must_use]
    pub fn history(&self, from: u64, to: u64) -> Vec<String> {
        let mut names: HashMap<NodeId, String> = HashMap::new();
        let first = self.keyframes[0].files();
        let last = self.image_at(self.end).disk.files();
        names.extend(
            first
                .into_iter()
                .chain(last)
                .map(|(path, node)| (node, path.display().to_string())),
        );
        for step in &self.steps {
            if let Effect::Create { node, name, .. } = &step.effect {
                names
                    .entry(*node)
                    .or_insert_with(|| name.to_string_lossy().into_owned());
            }
        }
        let name = |node: &NodeId| {
            names
                .get(node)
                .cloned()
                .unwrap_or_else(|| format!("node {}", node.0))
        };
        let describe = |effect: &Effect| match effect {
            Effect::Write { file, offset, data } => format!(
                "write {} {offset}..{}",
                name(file),
                offset + data.len() as u64
            ),
            Effect::SetLen { file, len } => format!("set length of {} to {len}", name(file)),
            Effect::Allocate { file, len } => format!("allocate {} up to {len}", name(file)),
            Effect::SyncData { file } => format!("sync data of {}", name(file)),
            Effect::SyncAll { file } => format!("sync all of {}", name(file)),
            Effect::AbandonPending { file } => format!("lose what is pending of {}", name(file)),
            Effect::Damage { file, offset, data } => format!(
                "damage {} {offset}..{}",
                name(file),
                offset + data.len() as u64
            ),
            Effect::DamageLen { file, len } => format!("damage length of {} to {len}", name(file)),
            Effect::Create {
                node, is_directory, ..
            } => format!(
                "create {}{}",
                if *is_directory { "directory " } else { "" },
                name(node)
            ),
            Effect::Rename { node, to, .. } => {
                format!("rename {} to {}", name(node), to.1.display())
            }
            Effect::Unlink { name, .. } => format!("remove {}", name.display()),
            Effect::SyncDirectory { directory } => format!("sync directory {}", name(directory)),
            Effect::LoseNewestName { directory } => {
                format!("lose the newest name of {}", name(directory))
            }
            Effect::Forget { node } => format!("forget {}", name(node)),
        };
        self.steps
            .iter()
            .filter(|step| (from..to).contains(&step.sequence))
            .map(|step| format!("{} {}", step.sequence, describe(&step.effect)))
            .collect()
    }

    /// The disk once all operations below index `operations` have completed.
    #[must_use]
    pub fn image_at(&self, operations: u64) -> DiskImage {
        let count = self
            .steps
            .partition_point(|step| step.sequence < operations);
        let keyframe = count / KEYFRAME_EVERY;
        let mut disk = self.keyframes[keyframe].clone();
        for step in &self.steps[keyframe * KEYFRAME_EVERY..count] {
            disk.apply(step.sequence, &step.effect);
        }
        DiskImage { disk }
    }
}
