//! One file, directory or symbolic link.

use super::Malformed;
use super::coding::{Body, put_bytes, put_number, put_signed};
use crate::message::Time;

/// What an entry is. Everything else (devices, sockets, FIFOs) is not transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
}

/// The name of an extended attribute, and its value.
pub type Attribute = (Vec<u8>, Vec<u8>);

/// One entry of a directory, as the sender found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// One component: neither empty nor `.` nor `..`, and without `/` and NUL. The entry of a listing's own directory is `.`.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// The permission bits, set-id and sticky bits included.
    pub mode: u32,
    /// The time of the last modification.
    pub modified: Time,
    /// The number of bytes of a file.
    pub size: u64,
    /// Owner and group, where they are to be kept.
    pub owner: Option<(u32, u32)>,
    /// What a symbolic link points to.
    pub target: Vec<u8>,
    /// The number of an earlier entry that is the same file (a hard link).
    pub same: Option<u64>,
    /// Whether later entries may be the same file.
    pub shared: bool,
    /// Whether a file has holes.
    pub sparse: bool,
    /// A directory's device and inode number on the sender's machine.
    pub id: (u64, u64),
    /// The BLAKE3 digest of a file's content, where contents are compared.
    pub digest: Option<[u8; 32]>,
    /// Extended attributes and access control lists: names and values.
    pub attributes: Vec<Attribute>,
}

const OWNER: u8 = 1;
const SAME: u8 = 2;
const SHARED: u8 = 4;
const DIGEST: u8 = 8;
const ATTRIBUTES: u8 = 16;
const SPARSE: u8 = 32;

impl Entry {
    /// An entry with nothing but a name.
    pub fn new(kind: Kind, name: Vec<u8>) -> Entry {
        Entry {
            name,
            kind,
            mode: 0,
            modified: Time { seconds: 0, nanoseconds: 0 },
            size: 0,
            owner: None,
            target: Vec::new(),
            same: None,
            shared: false,
            sparse: false,
            id: (0, 0),
            digest: None,
            attributes: Vec::new(),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self.kind {
            Kind::File => 0,
            Kind::Directory => 1,
            Kind::Link => 2,
        });
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        out.push(
            flag(self.owner.is_some(), OWNER)
                | flag(self.same.is_some(), SAME)
                | flag(self.shared, SHARED)
                | flag(self.digest.is_some(), DIGEST)
                | flag(!self.attributes.is_empty(), ATTRIBUTES)
                | flag(self.sparse, SPARSE),
        );
        put_bytes(out, &self.name);
        put_number(out, u64::from(self.mode));
        put_signed(out, self.modified.seconds);
        put_number(out, u64::from(self.modified.nanoseconds));
        match self.kind {
            Kind::File => put_number(out, self.size),
            Kind::Directory => {
                put_number(out, self.id.0);
                put_number(out, self.id.1);
            }
            Kind::Link => put_bytes(out, &self.target),
        }
        if let Some((user, group)) = self.owner {
            put_number(out, u64::from(user));
            put_number(out, u64::from(group));
        }
        if let Some(same) = self.same {
            put_number(out, same);
        }
        if let Some(digest) = &self.digest {
            out.extend_from_slice(digest);
        }
        if !self.attributes.is_empty() {
            put_number(out, self.attributes.len() as u64);
            for (name, value) in &self.attributes {
                put_bytes(out, name);
                put_bytes(out, value);
            }
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Entry, Malformed> {
        let mut body = Body(bytes);
        let kind = match body.byte()? {
            0 => Kind::File,
            1 => Kind::Directory,
            2 => Kind::Link,
            _ => return Err(Malformed("an entry of an unknown kind")),
        };
        let flags = body.byte()?;
        let mut entry = Entry::new(kind, body.bytes()?.to_vec());
        if !(is_name(&entry.name) || kind == Kind::Directory && entry.name == b".") {
            return Err(Malformed("a name that no file can have in a directory"));
        }
        entry.mode = body.small()? & 0o7777;
        entry.modified = Time { seconds: body.signed()?, nanoseconds: nanoseconds(body.number()?)? };
        match kind {
            Kind::File => entry.size = body.number()?,
            Kind::Directory => entry.id = (body.number()?, body.number()?),
            Kind::Link => entry.target = body.bytes()?.to_vec(),
        }
        if kind == Kind::Link && (entry.target.is_empty() || entry.target.contains(&0)) {
            return Err(Malformed("a symbolic link that points to no path"));
        }
        if flags & OWNER != 0 {
            entry.owner = Some((body.small()?, body.small()?));
        }
        if flags & SAME != 0 {
            entry.same = Some(body.number()?);
        }
        entry.shared = flags & SHARED != 0;
        entry.sparse = flags & SPARSE != 0;
        if flags & DIGEST != 0 {
            entry.digest = body.take(32)?.try_into().ok();
        }
        if flags & ATTRIBUTES != 0 {
            for _ in 0..body.number()? {
                let (name, value) = (body.bytes()?.to_vec(), body.bytes()?.to_vec());
                if name.is_empty() || name.contains(&0) {
                    return Err(Malformed("an extended attribute without a usable name"));
                }
                entry.attributes.push((name, value));
            }
        }
        body.end()?;
        Ok(entry)
    }
}

pub(super) fn nanoseconds(number: u64) -> Result<u32, Malformed> {
    match u32::try_from(number) {
        Ok(number) if number < 1_000_000_000 => Ok(number),
        _ => Err(Malformed("nanoseconds of a second or more")),
    }
}

/// Whether these bytes can be a file's name in a directory.
pub fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
}
