//! The number that a JSON header holds under a name.

use crate::Fault;
use core::fmt;
use serde_core::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

/// The value of the top-level field `name`, which must be a whole number, not below zero.
pub(super) fn number(json: &[u8], name: &str) -> Result<u64, Fault> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = reader.deserialize_map(Field { name }).map_err(|_| Fault::JsonHeader)?;
    reader.end().map_err(|_| Fault::JsonHeader)?;
    value.ok_or(Fault::JsonHeader)
}

struct Field<'n> {
    name: &'n str,
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with a number called {}", self.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<u64>, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<alloc::borrow::Cow<'de, str>>()? {
            if name == self.name {
                if found.replace(map.next_value()?).is_some() {
                    return Err(serde_core::de::Error::custom("the name stands there twice"));
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}
