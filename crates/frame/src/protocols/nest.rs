//! Containers that announce how many items they hold, and those that don't.

use super::value::{MAX_DEPTH, too_deep};
use crate::Fault;
use alloc::vec::Vec;

/// The containers that are open. Memory grows with their depth, which is bounded, and never with an announced number.
#[derive(Debug, Default)]
pub(super) struct Nest {
    levels: Vec<Level>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) kind: Kind,
    /// How many items are left; of an endless one, how many came.
    pub(super) items: u64,
}

/// What a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// So many items, and then it is an item itself.
    Counted,
    /// So many items, which belong to the item behind them.
    Prefix,
    /// Items up to an end mark.
    Endless,
    /// Pairs of items up to an end mark.
    EndlessPairs,
    /// Strings of this type up to an end mark.
    EndlessText(u8),
}

impl Nest {
    /// Begins a container. An empty one that is counted ends at once: whether everything has ended is returned.
    pub(super) fn open(&mut self, at: u64, kind: Kind, items: u64) -> Result<bool, Fault> {
        if self.levels.len() == MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.levels.push(Level { kind, items });
        Ok(self.settle())
    }

    /// An item has ended. True if everything has.
    pub(super) fn item(&mut self) -> bool {
        match self.levels.last_mut() {
            None => true,
            Some(level) => {
                match level.kind {
                    Kind::Counted | Kind::Prefix => level.items -= 1,
                    _ => level.items = level.items.wrapping_add(1),
                }
                self.settle()
            }
        }
    }

    /// An endless container has ended. True if everything has.
    pub(super) fn close(&mut self) -> bool {
        self.levels.pop();
        self.item()
    }

    pub(super) fn innermost(&self) -> Option<Level> {
        self.levels.last().copied()
    }

    /// Ends the containers that are full.
    fn settle(&mut self) -> bool {
        while let Some(level) = self.levels.last().copied() {
            match (level.kind, level.items) {
                (Kind::Counted, 0) => {
                    self.levels.pop();
                    match self.levels.last_mut() {
                        None => return true,
                        Some(Level { kind: Kind::Counted | Kind::Prefix, items }) => *items -= 1,
                        Some(Level { items, .. }) => *items = items.wrapping_add(1),
                    }
                }
                (Kind::Prefix, 0) => {
                    // The item that it belongs to is still to come.
                    self.levels.pop();
                    return false;
                }
                _ => return false,
            }
        }
        false
    }
}
