//! The paths of `--files-from`, as a tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use unglue_proto::Octets;

/// Which entries of a directory are wanted.
#[derive(Debug, Default)]
pub(super) struct Only {
    /// By name.
    pub(super) below: BTreeMap<Box<[u8]>, Arc<Only>>,
    /// All of it.
    pub(super) all: bool,
}

impl Only {
    /// The paths, relative to the source. `.` and slashes at the ends mean nothing; `..` leads nowhere.
    pub(super) fn new(paths: &[Octets]) -> Option<Arc<Only>> {
        if paths.is_empty() {
            return None;
        }
        let mut top = Building::default();
        for path in paths {
            let mut at = &mut top;
            let parts = path.as_bytes().split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
            for part in parts {
                at = at.below.entry(part.into()).or_default();
            }
            at.all = true;
        }
        Some(Arc::new(top.finish()))
    }
}

#[derive(Default)]
struct Building {
    below: BTreeMap<Box<[u8]>, Building>,
    all: bool,
}

impl Building {
    fn finish(self) -> Only {
        let below = match self.all {
            true => BTreeMap::new(),
            false => self.below.into_iter().map(|(name, node)| (name, Arc::new(node.finish()))).collect(),
        };
        Only { below, all: self.all }
    }
}
