//! What a scene found out.

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::Value;

use crate::record::{Call, Flow};

/// All there is to tell of one play.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SceneReport {
    /// The scene's name.
    pub scene: &'static str,
    /// What happens in it.
    pub title: &'static str,
    /// What each side called and got, in order.
    pub calls: Vec<Call>,
    /// The bytes' ways: how they were sent, and how they were received.
    pub flows: Vec<Flow>,
    /// Numbers side by side.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bars: Vec<Bar>,
    /// What the network guarantees: the same in every run.
    #[serde(serialize_with = "as_map")]
    pub result: Vec<Fact>,
    /// What this run measured: another run may differ.
    #[serde(serialize_with = "as_map")]
    pub measured: Vec<Fact>,
    /// What the scene says of it, and whether that is so.
    pub claims: Vec<Claim>,
    /// Why it is so.
    pub why: &'static str,
    /// What fixes it.
    pub fix: &'static str,
}

impl SceneReport {
    /// Whether everything is as the scene says.
    pub fn holds(&self) -> bool {
        self.claims.iter().all(|claim| claim.holds)
    }
}

/// A value with a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// The name, with its unit where it has one.
    pub name: &'static str,
    /// The value.
    pub value: Value,
}

/// A number to compare with those beside it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bar {
    /// What it is the number of.
    pub name: &'static str,
    /// The number.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
}

/// A sentence, and whether it is true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// The sentence.
    pub says: &'static str,
    /// Whether it was so.
    pub holds: bool,
}

fn as_map<S: Serializer>(facts: &[Fact], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(facts.len()))?;
    for fact in facts {
        map.serialize_entry(fact.name, &fact.value)?;
    }
    map.end()
}
