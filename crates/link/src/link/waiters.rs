//! Tasks that wait for something that several of them may wait for at once.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use super::{Shared, State};

/// The wakers of one kind of wait. A wait that is cancelled takes its waker with it.
#[derive(Default)]
pub(super) struct Waiters {
    next: u64,
    waiting: BTreeMap<u64, Waker>,
}

impl Waiters {
    pub(super) fn wake_all(&mut self) {
        while let Some((_, waker)) = self.waiting.pop_first() {
            waker.wake();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// Which waiters of a link.
pub(super) type List = fn(&mut State) -> &mut Waiters;

/// Waits in a list until `ready`, called with the lock held, gives something.
pub(super) async fn wait_in<T>(shared: &Shared, list: List, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
    let mut entry = Entry { shared, list, number: None };
    poll_fn(|cx| {
        let mut state = shared.lock();
        if let Some(value) = ready(&mut state) {
            return Poll::Ready(value);
        }
        let waiters = list(&mut state);
        let number = *entry.number.get_or_insert_with(|| {
            waiters.next += 1;
            waiters.next
        });
        match waiters.waiting.get_mut(&number) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => drop(waiters.waiting.insert(number, cx.waker().clone())),
        }
        Poll::Pending
    })
    .await
}

/// One wait's place in its list.
struct Entry<'a> {
    shared: &'a Shared,
    list: List,
    number: Option<u64>,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            (self.list)(&mut self.shared.lock()).waiting.remove(&number);
        }
    }
}
