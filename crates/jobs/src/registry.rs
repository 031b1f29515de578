//! What is under way on a server, by user and id.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Everything that is under way on one server. Clones share it.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<HashMap<Key, Kind>>>);

/// Ids belong to a user: two users never see each other's.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    user: String,
    id: String,
}

/// What an id stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A command.
    Job,
    /// A movement of files.
    Transfer,
}

/// The id is taken by something that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse(pub Kind);

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Job => "a command with this id is running",
            Kind::Transfer => "a transfer with this id is under way",
        })
    }
}

impl std::error::Error for InUse {}

impl Registry {
    /// Enters something new.
    ///
    /// # Errors
    /// This user has something under way with this id.
    pub fn claim(&self, user: &str, id: &str, kind: Kind) -> Result<Claim, InUse> {
        let key = Key { user: user.to_owned(), id: id.to_owned() };
        match self.lock().entry(key.clone()) {
            Entry::Occupied(taken) => Err(InUse(*taken.get())),
            Entry::Vacant(free) => {
                free.insert(kind);
                Ok(Claim { registry: self.clone(), key })
            }
        }
    }

    /// How many of this kind are under way.
    pub fn count(&self, kind: Kind) -> usize {
        self.lock().values().filter(|other| **other == kind).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Kind>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An id in use; free again once this is dropped.
pub struct Claim {
    registry: Registry,
    key: Key,
}

impl Claim {
    /// Whose it is.
    pub fn user(&self) -> &str {
        &self.key.user
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.key.id
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_used_once_at_a_time_and_by_one_user() {
        let registry = Registry::default();
        let claim = registry.claim("ada", "1", Kind::Job).unwrap();
        assert_eq!(registry.claim("ada", "1", Kind::Transfer).err(), Some(InUse(Kind::Job)));
        assert!(registry.claim("bob", "1", Kind::Job).is_ok(), "another user's id is another id");
        drop(claim);
        assert!(registry.claim("ada", "1", Kind::Job).is_ok());
        assert_eq!(registry.count(Kind::Job), 0);
    }
}
