//! The state of a simulated disk and the one function that changes it.
//!
//! Everything that happens to a disk is an [`Effect`]. A recorded list of effects replays to
//! the same state, which is how one run of a workload gives the state after every operation.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use super::{
    directory::{DirectoryNode, NameChange},
    file::FileNode,
};

/// Names a file or directory for its whole life, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(crate) u64);

pub(crate) const ROOT: NodeId = NodeId(0);

/// Files longer than this are refused, as real file systems do at some length.
pub(crate) const MAX_FILE_LEN: u64 = 16 << 30;

#[derive(Clone, Debug)]
pub(crate) enum Node {
    File(Arc<FileNode>),
    Directory(Arc<DirectoryNode>),
}

/// A change to the disk, faults already worked in.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Write {
        file: NodeId,
        offset: u64,
        data: Arc<[u8]>,
    },
    SetLen {
        file: NodeId,
        len: u64,
    },
    Allocate {
        file: NodeId,
        len: u64,
    },
    SyncData {
        file: NodeId,
    },
    SyncAll {
        file: NodeId,
    },
    AbandonPending {
        file: NodeId,
    },
    Damage {
        file: NodeId,
        offset: u64,
        data: Arc<[u8]>,
    },
    DamageLen {
        file: NodeId,
        len: u64,
    },
    Create {
        directory: NodeId,
        name: OsString,
        node: NodeId,
        is_directory: bool,
    },
    Rename {
        from: (NodeId, OsString),
        to: (NodeId, OsString),
        node: NodeId,
    },
    Unlink {
        directory: NodeId,
        name: OsString,
    },
    SyncDirectory {
        directory: NodeId,
    },
    LoseNewestName {
        directory: NodeId,
    },
    /// Nothing refers to the node any more.
    Forget {
        node: NodeId,
    },
}

/// The whole disk. Cloning it costs a reference count per file.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) next: u64,
}

impl Disk {
    /// An empty disk: a root directory.
    pub(crate) fn new() -> Disk {
        Disk {
            nodes: BTreeMap::from([(ROOT, Node::Directory(Arc::default()))]),
            next: 1,
        }
    }

    pub(crate) fn file(&self, id: NodeId) -> io::Result<&FileNode> {
        match self.nodes.get(&id) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn directory(&self, id: NodeId) -> io::Result<&DirectoryNode> {
        match self.nodes.get(&id) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn file_mut(&mut self, id: NodeId) -> &mut FileNode {
        match self.nodes.get_mut(&id) {
            Some(Node::File(file)) => Arc::make_mut(file),
            _ => unreachable!("effects name files that exist"),
        }
    }

    fn directory_mut(&mut self, id: NodeId) -> &mut DirectoryNode {
        match self.nodes.get_mut(&id) {
            Some(Node::Directory(directory)) => Arc::make_mut(directory),
            _ => unreachable!("effects name directories that exist"),
        }
    }

    /// What `path` stands for.
    pub(crate) fn resolve(&self, path: &Path) -> io::Result<NodeId> {
        let mut at = ROOT;
        for name in components(path)? {
            at = *self
                .directory(at)?
                .live
                .get(name)
                .ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    /// The directory that holds `path`, and the name in it.
    pub(crate) fn resolve_parent(&self, path: &Path) -> io::Result<(NodeId, OsString)> {
        let mut names = components(path)?;
        let name = names.pop().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let mut at = ROOT;
        for name in names {
            at = *self
                .directory(at)?
                .live
                .get(name)
                .ok_or(io::ErrorKind::NotFound)?;
        }
        self.directory(at)?;
        Ok((at, name))
    }

    /// Paths and ids of every file that readers can reach, in order of path.
    pub(crate) fn files(&self) -> Vec<(PathBuf, NodeId)> {
        let mut found = Vec::new();
        let mut open = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, id)) = open.pop() {
            match self.nodes.get(&id) {
                Some(Node::File(_)) => found.push((path, id)),
                Some(Node::Directory(directory)) => open.extend(
                    directory
                        .live
                        .iter()
                        .map(|(name, id)| (path.join(name), *id)),
                ),
                None => {}
            }
        }
        found.sort();
        found
    }

    /// Bytes of space in use.
    pub(crate) fn used(&self) -> u64 {
        self.nodes
            .values()
            .map(|node| {
                if let Node::File(file) = node {
                    file.charged()
                } else {
                    0
                }
            })
            .sum()
    }

    /// Whether a name, seen or durable, leads to the node.
    pub(crate) fn is_linked(&self, id: NodeId) -> bool {
        self.nodes.values().any(|node| match node {
            Node::Directory(directory) => {
                directory
                    .live
                    .values()
                    .chain(directory.durable.values())
                    .any(|linked| *linked == id)
                    || directory
                        .pending
                        .iter()
                        .any(|pending| match pending.change {
                            NameChange::Link { node, .. } | NameChange::Rename { node, .. } => {
                                node == id
                            }
                            NameChange::Unlink { .. } => false,
                        })
            }
            Node::File(_) => false,
        })
    }

    /// Changes the disk. `sequence` is the index of the operation that does it.
    pub(crate) fn apply(&mut self, sequence: u64, effect: &Effect) {
        match effect {
            Effect::Write { file, offset, data } => {
                self.file_mut(*file).write(sequence, *offset, data.clone())
            }
            Effect::SetLen { file, len } => self.file_mut(*file).set_len(sequence, *len),
            Effect::Allocate { file, len } => self.file_mut(*file).allocate(sequence, *len),
            Effect::SyncData { file } => self.file_mut(*file).sync_data(),
            Effect::SyncAll { file } => self.file_mut(*file).sync_all(),
            Effect::AbandonPending { file } => self.file_mut(*file).abandon_pending(),
            Effect::Damage { file, offset, data } => self.file_mut(*file).damage(*offset, data),
            Effect::DamageLen { file, len } => self.file_mut(*file).damage_len(*len),
            Effect::Create {
                directory,
                name,
                node,
                is_directory,
            } => {
                let new = if *is_directory {
                    Node::Directory(Arc::default())
                } else {
                    Node::File(Arc::default())
                };
                self.nodes.insert(*node, new);
                self.next = self.next.max(node.0 + 1);
                self.directory_mut(*directory).change(
                    sequence,
                    NameChange::Link {
                        name: name.clone(),
                        node: *node,
                    },
                );
            }
            Effect::Rename {
                from: (from_directory, from),
                to: (to_directory, to),
                node,
            } => {
                if from_directory == to_directory {
                    let change = NameChange::Rename {
                        from: from.clone(),
                        to: to.clone(),
                        node: *node,
                    };
                    self.directory_mut(*from_directory).change(sequence, change);
                } else {
                    self.directory_mut(*to_directory).change(
                        sequence,
                        NameChange::Link {
                            name: to.clone(),
                            node: *node,
                        },
                    );
                    self.directory_mut(*from_directory)
                        .change(sequence, NameChange::Unlink { name: from.clone() });
                }
            }
            Effect::Unlink { directory, name } => {
                self.directory_mut(*directory)
                    .change(sequence, NameChange::Unlink { name: name.clone() });
            }
            Effect::SyncDirectory { directory } => self.directory_mut(*directory).sync(),
            Effect::LoseNewestName { directory } => self.directory_mut(*directory).lose_newest(),
            Effect::Forget { node } => {
                self.nodes.remove(node);
            }
        }
    }
}

/// The names along a path. The root and `.` add nothing; `..` is refused.
pub(crate) fn components(path: &Path) -> io::Result<Vec<&OsStr>> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(Ok(name)),
            Component::RootDir | Component::CurDir => None,
            Component::ParentDir | Component::Prefix(_) => Some(Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the simulated disk takes no '..' in paths",
            ))),
        })
        .collect()
}
