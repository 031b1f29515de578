//! Compressing blocks of streams, on threads of their own: at a hard level a block takes milliseconds, and the link must not
//! wait for them.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use unglue_proto::mux::{Block, Packed, Packer};

use super::Shared;
use crate::threads::ThreadPool;

/// More threads than this compress for no process.
const MOST: usize = 8;
/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);

/// The threads of the process: as many as it has processors. Blocks of all links have their turn in order.
static THREADS: LazyLock<ThreadPool> = LazyLock::new(|| ThreadPool::new("unglue-zstd", threads(), IDLE));

/// How many they are.
pub(super) fn threads() -> usize {
    static COUNT: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, usize::from).min(MOST));
    *COUNT
}

thread_local! {
    static PACKER: RefCell<Option<Packer>> = const { RefCell::new(None) };
}

/// Has a block compressed, and given back to its link. A block that can't be is sent plain.
pub(super) fn pack(shared: &Arc<Shared>, block: Block) {
    let (plain, back) = (block.unpacked(), shared.clone());
    let work = move || {
        let plain = block.unpacked();
        let packed = catch_unwind(AssertUnwindSafe(|| packed(block))).ok().flatten();
        back.packed(packed.unwrap_or(plain));
    };
    if THREADS.submit(Box::new(work)).is_err() {
        shared.packed(plain);
    }
}

fn packed(block: Block) -> Option<Packed> {
    PACKER.with_borrow_mut(|packer| {
        if packer.is_none() {
            *packer = Packer::new();
        }
        let packer = packer.as_mut()?;
        let began = Instant::now();
        let packed = block.pack(packer);
        Some(packed.took(began.elapsed()))
    })
}

impl Shared {
    fn packed(&self, packed: Packed) {
        let mut state = self.lock();
        state.mux.packed(packed);
        state.dispatch_events();
        let driver = state.driver.take();
        drop(state);
        super::wake(driver);
    }
}
