//! Messages that one key distinguishes, with room for those of later versions.
//!
//! On the wire such a message is a JSON object with exactly one key, its *kind*: `{"signal": "SIGINT"}`. The kind is read
//! before the body, so a kind of a later version becomes `Unknown`, whatever its body looks like, and the receiver decides
//! what that means: an unknown request is refused, an unknown event is ignored, an unknown outcome is reported as such. A
//! known kind with a body that doesn't parse is an error.

use serde_json::Value;

/// A message of a later version.
#[derive(Debug, Clone, PartialEq)]
pub struct Unknown {
    /// Its key.
    pub kind: String,
    /// What it holds.
    pub body: Value,
}

/// Declares an enum of messages, each with its kind and the type of its body.
macro_rules! tagged {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $($(#[$about:meta])* $kind:literal => $variant:ident($body:ty),)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name {
            $($(#[$about])* $variant($body),)*
            /// One of a later version.
            Unknown($crate::message::Unknown),
        }

        impl $name {
            /// The kinds that this version knows.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];

            /// The kind of the message.
            pub fn kind(&self) -> &str {
                match self {
                    $($name::$variant(_) => $kind,)*
                    $name::Unknown(unknown) => &unknown.kind,
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                let mut map = serializer.serialize_map(Some(1))?;
                match self {
                    $($name::$variant(body) => map.serialize_entry($kind, body)?,)*
                    $name::Unknown(unknown) => map.serialize_entry(&unknown.kind, &unknown.body)?,
                }
                map.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct OneKey;

                impl<'de> serde::de::Visitor<'de> for OneKey {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object with one key")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        use serde::de::Error as _;
                        let kind: String = map.next_key()?.ok_or_else(|| A::Error::custom("an object without a key"))?;
                        let message = match kind.as_str() {
                            $($kind => $name::$variant(map.next_value()?),)*
                            _ => $name::Unknown($crate::message::Unknown { body: map.next_value()?, kind }),
                        };
                        match map.next_key::<serde::de::IgnoredAny>()? {
                            None => Ok(message),
                            Some(_) => Err(A::Error::custom("an object with more than one key")),
                        }
                    }
                }

                deserializer.deserialize_map(OneKey)
            }
        }
    };
}

/// Declares an enum of names; one of a later version keeps its text.
macro_rules! named {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $($(#[$about:meta])* $text:literal => $variant:ident,)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $($(#[$about])* $variant,)*
            /// One of a later version.
            Unknown(String),
        }

        impl $name {
            /// The names that this version knows.
            pub const NAMES: &'static [&'static str] = &[$($text),*];

            /// The name on the wire.
            pub fn name(&self) -> &str {
                match self {
                    $($name::$variant => $text,)*
                    $name::Unknown(name) => name,
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = <String as serde::Deserialize>::deserialize(deserializer)?;
                Ok(match name.as_str() {
                    $($text => $name::$variant,)*
                    _ => $name::Unknown(name),
                })
            }
        }
    };
}

pub(crate) use {named, tagged};

#[cfg(test)]
#[allow(unreachable_pub)]
mod tests {
    tagged! {
        /// For these tests.
        pub enum Message {
            /// A number.
            "count" => Count(u8),
        }
    }

    named! {
        /// For these tests.
        pub enum Colour {
            /// As blood.
            "red" => Red,
        }
    }

    #[test]
    fn a_known_kind_is_read_as_its_type() {
        assert_eq!(serde_json::from_str::<Message>(r#"{"count":3}"#).unwrap(), Message::Count(3));
        assert_eq!(serde_json::to_string(&Message::Count(3)).unwrap(), r#"{"count":3}"#);
    }

    #[test]
    fn a_later_kind_is_kept_whole() {
        let later = r#"{"spin":{"axis":[1,2]}}"#;
        let message: Message = serde_json::from_str(later).unwrap();
        assert!(matches!(&message, Message::Unknown(unknown) if unknown.kind == "spin"), "{message:?}");
        assert_eq!((message.kind(), Message::Count(3).kind()), ("spin", "count"));
        assert_eq!(Message::KINDS, ["count"]);
        assert_eq!(serde_json::to_string(&message).unwrap(), later);
    }

    #[test]
    fn a_known_kind_with_another_body_is_an_error() {
        for wrong in [r#"{"count":256}"#, r#"{"count":"3"}"#, r#"{"count":3,"more":1}"#, "{}", "3", r#""count""#] {
            assert!(serde_json::from_str::<Message>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_later_name_keeps_its_text() {
        assert_eq!(serde_json::from_str::<Colour>(r#""red""#).unwrap(), Colour::Red);
        let later: Colour = serde_json::from_str(r#""green""#).unwrap();
        assert_eq!((later.name(), serde_json::to_string(&later).unwrap()), ("green", r#""green""#.to_owned()));
        assert_eq!(Colour::NAMES, ["red"]);
    }
}
