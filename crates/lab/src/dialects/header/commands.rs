//! The table from `cmd` to what it does.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::{beginning, store};
use crate::LabError;
use crate::server::ServedConnection;

type Handler = dyn Fn(&mut Call<'_, '_>) -> Result<(), LabError> + Send + Sync;

/// What clients may call, by name. Nothing else can be: there is no look-up of a method by what a peer sent.
///
/// ```
/// use unglue_lab::dialects::header::{Commands, Header};
///
/// let commands = Commands::default().with("size", |call| {
///     let path = call.directory().join(call.name("filename")?);
///     let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
///     call.reply(format!("{bytes}\n").as_bytes())
/// });
/// assert_eq!(commands.names().collect::<Vec<_>>(), ["put", "size"]);
/// let service = Header { commands };
/// # let _ = service;
/// ```
pub struct Commands(BTreeMap<String, Box<Handler>>);

impl Default for Commands {
    /// The tutorial's one command, `put`.
    fn default() -> Commands {
        Commands::none().with("put", store::put)
    }
}

impl Commands {
    /// A table that holds nothing.
    pub fn none() -> Commands {
        Commands(BTreeMap::new())
    }

    /// The table with one command more, or with another one under its name.
    #[must_use]
    pub fn with(
        mut self,
        name: impl Into<String>,
        handler: impl Fn(&mut Call<'_, '_>) -> Result<(), LabError> + Send + Sync + 'static,
    ) -> Commands {
        self.0.insert(name.into(), Box::new(handler));
        self
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Does what a header asks for. One without `cmd` is an upload with the fuller header.
    pub(super) fn call(&self, header: Map<String, Value>, session: &mut ServedConnection<'_>) -> Result<(), LabError> {
        let name = match header.get("cmd") {
            Some(Value::String(name)) => name.as_str(),
            None if header.contains_key("file_name") => "put",
            None => return Err(lacks("cmd", "the name of a command")),
            Some(other) => return Err(wrong("cmd", other, "the name of a command")),
        };
        let handler = self.0.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.names().collect();
            LabError::malformed(
                format!("the command `{}`", beginning(name)),
                format!("this server has: {}", known.join(", ")),
            )
        })?;
        handler(&mut Call { header: &header, session })
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// One call of a command: its header, and the connection behind it.
pub struct Call<'a, 's> {
    header: &'a Map<String, Value>,
    /// The client's session. What follows the header is read from its connection.
    pub session: &'a mut ServedConnection<'s>,
}

impl fmt::Debug for Call<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("header", self.header).finish_non_exhaustive()
    }
}

impl Call<'_, '_> {
    /// Whether the header has a field.
    pub fn has(&self, field: &str) -> bool {
        self.header.contains_key(field)
    }

    /// A field that must be a text.
    ///
    /// # Errors
    /// [`LabError::Malformed`] if it is missing or something else.
    pub fn text(&self, field: &str) -> Result<&str, LabError> {
        match self.header.get(field) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(wrong(field, other, "a text")),
            None => Err(lacks(field, "a text")),
        }
    }

    /// A field that must be a number of bytes.
    ///
    /// # Errors
    /// [`LabError::Malformed`] if it is missing, below zero, no whole number or no number.
    pub fn bytes(&self, field: &str) -> Result<u64, LabError> {
        let what = "a whole number of bytes, from 0 to 18446744073709551615";
        match self.header.get(field) {
            Some(value) => value.as_u64().ok_or_else(|| wrong(field, value, what)),
            None => Err(lacks(field, what)),
        }
    }

    /// A field that names a file: the last part of it, which leads nowhere else.
    ///
    /// # Errors
    /// [`LabError::Malformed`] if it is missing, or no file can have that name.
    pub fn name(&self, field: &str) -> Result<&str, LabError> {
        let text = self.text(field)?;
        store::last_part(text).ok_or_else(|| {
            let what = format!("`{}` as {field}", beginning(text));
            LabError::malformed(what, "its last part must be the name of a file, of at most 255 bytes")
        })
    }

    /// Where the server keeps files.
    pub fn directory(&self) -> &std::path::Path {
        &self.session.settings().directory
    }

    /// Sends bytes to the client. The tutorial's `put` has no answer; yours may.
    ///
    /// # Errors
    /// The client doesn't take them.
    pub fn reply(&mut self, bytes: &[u8]) -> Result<(), LabError> {
        self.session.connection.send_all(bytes, "a reply")
    }
}

fn lacks(field: &str, what: &str) -> LabError {
    LabError::malformed(format!("a header without {field}"), format!("{field} must be {what}"))
}

fn wrong(field: &str, value: &Value, what: &str) -> LabError {
    LabError::malformed(
        format!("`{}` as {field} in a header", beginning(&value.to_string())),
        format!("{field} must be {what}"),
    )
}
