//! Rules of any type behind one.

use super::{Limits, Rule, Step};
use crate::{
    EncodeError, Fault, FieldName, Output, TooLong,
    compiled::{Lost, Measure, Span},
};
use alloc::{boxed::Box, string::String, vec::Vec};
use core::{any::Any, fmt};

/// A rule of any type.
#[derive(Debug)]
pub(crate) struct Custom(Box<dyn Erased>);

/// What a rule of any type remembers of a stream.
pub(crate) type Memory = Box<dyn Remembered>;

pub(crate) trait Remembered: fmt::Debug + Send + Sync {
    fn any(&mut self) -> &mut dyn Any;
}

impl<S: fmt::Debug + Send + Sync + 'static> Remembered for S {
    fn any(&mut self) -> &mut dyn Any {
        self
    }
}

trait Erased: fmt::Debug + Send + Sync {
    fn copy(&self) -> Box<dyn Erased>;
    fn memory(&self) -> Memory;
    fn name(&self) -> &str;
    fn args(&self) -> Vec<String>;
    fn find(&self, memory: &mut dyn Any, frame: &[u8], limits: &Limits) -> Result<Step, Fault>;
    fn open(&self, frame: &[u8], limits: &Limits, out: &mut [u8]) -> Result<Option<usize>, Fault>;
    fn decodes(&self) -> bool;
    fn end(&self, memory: &mut dyn Any, rest: &[u8], limits: &Limits) -> Result<Option<Step>, Fault>;
    fn fields(&self) -> &[&str];
    fn field(&self, index: usize, frame: &[u8]) -> Option<u64>;
    fn default_field(&self, index: usize) -> u64;
    fn too_long(&self) -> &[TooLong];
    fn may_be_empty(&self) -> bool;
    fn encode(&self, fields: &[u64], data: &[u8], limits: &Limits, out: &mut dyn Output) -> Result<(), EncodeError>;
}

/// A memory is made by the rule that it is given back to.
const OTHER: Fault = Fault::Rule { at: 0, reason: "the state is another rule's" };

impl<R: Rule> Erased for R {
    fn copy(&self) -> Box<dyn Erased> {
        Box::new(self.clone())
    }

    fn memory(&self) -> Memory {
        Box::new(R::State::default())
    }

    fn name(&self) -> &str {
        Rule::name(self)
    }

    fn args(&self) -> Vec<String> {
        Rule::args(self)
    }

    fn find(&self, memory: &mut dyn Any, frame: &[u8], limits: &Limits) -> Result<Step, Fault> {
        Rule::find(self, memory.downcast_mut().ok_or(OTHER)?, frame, limits)
    }

    fn open(&self, frame: &[u8], limits: &Limits, out: &mut [u8]) -> Result<Option<usize>, Fault> {
        Rule::open(self, frame, limits, out)
    }

    fn decodes(&self) -> bool {
        Rule::decodes(self)
    }

    fn end(&self, memory: &mut dyn Any, rest: &[u8], limits: &Limits) -> Result<Option<Step>, Fault> {
        Rule::end(self, memory.downcast_mut().ok_or(OTHER)?, rest, limits)
    }

    fn fields(&self) -> &[&str] {
        Rule::fields(self)
    }

    fn field(&self, index: usize, frame: &[u8]) -> Option<u64> {
        Rule::field(self, index, frame)
    }

    fn default_field(&self, index: usize) -> u64 {
        Rule::default_field(self, index)
    }

    fn too_long(&self) -> &[TooLong] {
        Rule::too_long(self)
    }

    fn may_be_empty(&self) -> bool {
        Rule::may_be_empty(self)
    }

    fn encode(&self, fields: &[u64], data: &[u8], limits: &Limits, out: &mut dyn Output) -> Result<(), EncodeError> {
        Rule::encode(self, fields, data, limits, out)
    }
}

impl Clone for Custom {
    fn clone(&self) -> Custom {
        Custom(self.0.copy())
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Custom) -> bool {
        self.name() == other.name() && self.args() == other.args()
    }
}

impl Eq for Custom {}

impl Custom {
    pub(crate) fn new(rule: impl Rule) -> Custom {
        Custom(Box::new(rule))
    }

    pub(crate) fn memory(&self) -> Memory {
        self.0.memory()
    }

    pub(crate) fn name(&self) -> &str {
        self.0.name()
    }

    pub(crate) fn args(&self) -> Vec<String> {
        self.0.args()
    }

    pub(crate) fn decodes(&self) -> bool {
        self.0.decodes()
    }

    pub(crate) fn fields(&self) -> &[&str] {
        self.0.fields()
    }

    pub(crate) fn field(&self, index: usize, frame: &[u8]) -> Option<u64> {
        self.0.field(index, frame)
    }

    pub(crate) fn may_be_empty(&self) -> bool {
        self.0.may_be_empty()
    }

    pub(crate) fn allows(&self, too_long: TooLong) -> bool {
        self.0.too_long().contains(&too_long)
    }

    /// What the bytes are, in a form that needs no more doubt.
    pub(crate) fn measure(&self, memory: &mut Memory, bytes: &[u8], limits: &Limits) -> Result<Measure, Fault> {
        checked(self.0.find((**memory).any(), bytes, limits)?, bytes.len())
    }

    /// What the bytes are that the input ended with. `None` if there are none and that is good.
    pub(crate) fn end(&self, memory: &mut Memory, rest: &[u8], limits: &Limits) -> Result<Option<Measure>, Fault> {
        let step = self.0.end((**memory).any(), rest, limits)?;
        step.map(|step| checked(step, rest.len())).transpose()
    }

    /// Checks a frame, and decodes its data into `scratch` if the rule does. `None` if the data lies in the frame.
    pub(crate) fn open<'a>(
        &self,
        raw: &[u8],
        span: Span,
        limits: &Limits,
        scratch: &mut &'a mut [u8],
    ) -> Result<Option<&'a [u8]>, Fault> {
        let decodes = self.decodes();
        if span.lost != Lost::Nothing && !decodes {
            return Ok(None);
        }
        let room = if decodes { raw.len().min(scratch.len()) } else { 0 };
        let Some(len) = self.0.open(raw, limits, &mut scratch[..room])? else { return Ok(None) };
        if len > room {
            return Err(Fault::Rule { at: 0, reason: "the rule decoded more bytes than the frame has" });
        }
        limits.hold(len as u64)?;
        if len == 0 && !limits.empty {
            return Err(Fault::Empty);
        }
        let (data, rest) = core::mem::take(scratch).split_at_mut(len);
        *scratch = rest;
        Ok(Some(data))
    }

    /// Appends a frame. Fields that weren't given have their defaults.
    pub(crate) fn encode(
        &self,
        given: &[u64],
        data: &[u8],
        limits: &Limits,
        out: &mut dyn Output,
    ) -> Result<(), EncodeError> {
        let want = self.fields().len();
        if given.len() > want {
            return Err(EncodeError::Fields { got: given.len(), want });
        }
        let start = out.written().len();
        let written = if given.len() == want {
            self.0.encode(given, data, limits, out)
        } else {
            let rest = (given.len()..want).map(|index| self.0.default_field(index));
            let fields: Vec<u64> = given.iter().copied().chain(rest).collect();
            self.0.encode(&fields, data, limits, out)
        };
        written.map_err(|error| {
            out.cut(start);
            error.named(|index| FieldName::new(self.fields().get(index).copied().unwrap_or_default()))
        })
    }

    /// The value of a field that the application doesn't set.
    pub(crate) fn default_field(&self, index: usize) -> u64 {
        self.0.default_field(index)
    }
}

/// Makes sure that every step goes forward, and that no size overflows.
fn checked(step: Step, have: usize) -> Result<Measure, Fault> {
    let still = Fault::Rule { at: 0, reason: "the rule gave a step over no bytes, or over more than there were" };
    let moved = |bytes: usize| if (1..=have).contains(&bytes) { Ok(bytes) } else { Err(still) };
    match step {
        Step::More(bytes) => Ok(Measure::More(bytes.max(have + 1))),
        Step::Frame { head, data, tail } => {
            let total = head.checked_add(data).and_then(|bytes| bytes.checked_add(tail));
            let total = total.filter(|total| (1..=isize::MAX as usize).contains(total)).ok_or(still)?;
            Ok(Measure::Known(Span { head, data, total, lost: Lost::Nothing }))
        }
        Step::Cut { head, data, rest } => {
            let total = head.checked_add(data).filter(|total| *total <= isize::MAX as usize).ok_or(still)?;
            let lost = Lost::Bytes(rest);
            if total == 0 && rest == 0 { Err(still) } else { Ok(Measure::Known(Span { head, data, total, lost })) }
        }
        Step::Skip(0) => Err(still),
        Step::Skip(bytes) => Ok(Measure::Skip(Lost::Bytes(bytes))),
        Step::Drop(bytes) => moved(bytes).map(Measure::Drop),
        Step::Filler(bytes) => moved(bytes).map(Measure::Filler),
    }
}
