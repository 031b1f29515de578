//! Lines on their way to standard error, written by a thread of their own.
//!
//! A thread that logs puts a line into a bounded queue and goes on; it never waits for standard error. A reader that stops, a full disk
//! or a closed pipe costs lines, never service. Lines that find no room, or that can't be written, are counted, and
//! a line reports the number as soon as one can be written again.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How many bytes of lines may wait.
const ROOM: usize = 1 << 20;
/// How long the thread waits after a failed write before it tries again.
const AGAIN: Duration = Duration::from_secs(1);

/// Makes the line that reports how many were dropped.
type Dropped = Box<dyn Fn(u64) -> String + Send>;
/// Writes some of the bytes, and returns how many.
type Output = Box<dyn Fn(&[u8]) -> io::Result<usize> + Send>;

/// The queue, and the thread that empties it.
pub(super) struct Queue(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Signalled on every change that somebody waits for.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    dropped: u64,
    /// No more lines come: the thread ends when it has written what there is.
    finishing: bool,
    finished: bool,
}

impl Shared {
    /// Nothing panics while it is held, so a poisoned lock is as good as another.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has none.
    pub(super) fn start(dropped: Dropped, output: Output) -> io::Result<Queue> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let mut writer = Writer { shared: shared.clone(), dropped, output, within_line: false };
        thread::Builder::new().name("unglue-log".into()).spawn(move || writer.run())?;
        Ok(Queue(shared))
    }

    /// A place for one line.
    pub(super) fn line(&self) -> Line<'_> {
        Line { queue: Some(self), bytes: Vec::new() }
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.0.lock();
        if state.waiting.len() + line.len() > ROOM {
            state.dropped += 1;
        } else {
            state.waiting.extend_from_slice(line);
        }
        drop(state);
        self.0.changed.notify_all();
    }

    /// Has the thread write what there is, and waits for that, up to a limit.
    pub(super) fn finish(&self, limit: Duration) {
        let mut state = self.0.lock();
        state.finishing = true;
        self.0.changed.notify_all();
        let waited = self.0.changed.wait_timeout_while(state, limit, |state| !state.finished);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// One line, which joins the queue when it is dropped.
pub(super) struct Line<'a> {
    queue: Option<&'a Queue>,
    bytes: Vec<u8>,
}

impl Line<'_> {
    /// A line that goes nowhere.
    pub(super) fn nowhere() -> Line<'static> {
        Line { queue: None, bytes: Vec::new() }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.filter(|_| !self.bytes.is_empty()) {
            queue.push(&self.bytes);
        }
    }
}

/// The thread's side.
struct Writer {
    shared: Arc<Shared>,
    dropped: Dropped,
    output: Output,
    /// A line was written in part: what follows must begin on another one.
    within_line: bool,
}

impl Writer {
    fn run(&mut self) {
        while let Some((lines, dropped)) = self.next() {
            let report = if dropped > 0 { (self.dropped)(dropped) } else { String::new() };
            let lost = match self.write(report.as_bytes()) {
                Ok(()) => self.write(&lines).err().unwrap_or(0),
                Err(_) => dropped + count(&lines),
            };
            if lost > 0 {
                self.wait_after_failure(lost);
            }
        }
        self.shared.lock().finished = true;
        self.shared.changed.notify_all();
    }

    /// Waits for lines, or for lost ones to report; `None` at the end.
    fn next(&self) -> Option<(Vec<u8>, u64)> {
        let idle = |state: &mut State| state.waiting.is_empty() && state.dropped == 0 && !state.finishing;
        let waited = self.shared.changed.wait_while(self.shared.lock(), idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let taken = (mem::take(&mut state.waiting), mem::take(&mut state.dropped));
        (taken.1 > 0 || !taken.0.is_empty()).then_some(taken)
    }

    /// Writes whole lines. The error is how many of them are lost.
    fn write(&mut self, lines: &[u8]) -> Result<(), u64> {
        let mut left = lines;
        if self.within_line && !left.is_empty() {
            (self.output)(b"\n").map_err(|_| count(left))?;
            self.within_line = false;
        }
        while !left.is_empty() {
            match (self.output)(left) {
                Ok(written) => {
                    left = &left[written.min(left.len())..];
                    self.within_line = lines[..lines.len() - left.len()].last().is_some_and(|&byte| byte != b'\n');
                }
                Err(_) => return Err(count(left)),
            }
        }
        Ok(())
    }

    /// Keeps the lost lines' number for a report, and waits, so that an output that fails at once costs no time.
    fn wait_after_failure(&self, lost: u64) {
        let until = Instant::now() + AGAIN;
        let mut state = self.shared.lock();
        state.dropped += lost;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|_| !state.finishing) {
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.finishing {
            // It failed a moment ago, and nobody is left to wait for it.
            state.dropped = 0;
            state.waiting.clear();
        }
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A queue whose output takes orders: how each write ends. The receiver has what was written.
    fn ordered() -> (Queue, Sender<io::Result<usize>>, Receiver<Vec<u8>>) {
        let (orders, taken) = channel::<io::Result<usize>>();
        let (sender, written) = channel();
        let output = move |bytes: &[u8]| {
            let order = taken.recv().unwrap_or(Ok(usize::MAX));
            let order = order.map(|most| most.min(bytes.len()));
            if let Ok(len) = order {
                let _ = sender.send(bytes[..len].to_vec());
            }
            order
        };
        let queue = Queue::start(Box::new(|lines| format!("lost {lines}\n")), Box::new(output)).expect("a thread");
        (queue, orders, written)
    }

    fn log(queue: &Queue, line: &str) {
        queue.line().write_all(line.as_bytes()).expect("it takes everything");
    }

    #[test]
    fn an_output_that_stands_still_holds_nobody_up_and_the_lost_lines_are_reported() {
        let (queue, orders, written) = ordered();
        let line = "x".repeat(999) + "\n";
        log(&queue, "first\n");
        let (started, count) = (Instant::now(), 20_000);
        (0..count).for_each(|_| log(&queue, &line));
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        drop(orders);
        queue.finish(Duration::from_secs(10));
        let text: Vec<u8> = written.try_iter().flatten().collect();
        let text = String::from_utf8(text).expect("text");
        let kept = text.lines().filter(|line| line.starts_with('x')).count();
        let lost: usize = text.lines().filter_map(|line| line.strip_prefix("lost ")?.parse::<usize>().ok()).sum();
        assert_eq!(kept + lost, count, "{kept} kept, {lost} reported");
        assert!(kept * line.len() <= 2 * ROOM && lost > 0, "{kept} kept");
    }

    #[test]
    fn lines_that_can_not_be_written_are_counted_until_one_can() {
        let (queue, orders, written) = ordered();
        orders.send(Err(io::ErrorKind::StorageFull.into())).expect("it lives");
        log(&queue, "one\n");
        for order in [Ok(usize::MAX), Ok(usize::MAX)] {
            orders.send(order).expect("it lives");
        }
        // The report comes without another line to carry it.
        assert_eq!(written.recv_timeout(Duration::from_secs(10)).expect("the report"), b"lost 1\n");
        log(&queue, "two\n");
        assert_eq!(written.recv_timeout(Duration::from_secs(10)).expect("the line"), b"two\n");
    }

    #[test]
    fn a_line_that_was_cut_by_an_error_is_ended_first() {
        let (queue, orders, written) = ordered();
        for order in [Ok(2), Err(io::ErrorKind::StorageFull.into())] {
            orders.send(order).expect("it lives");
        }
        log(&queue, "first\n");
        assert_eq!(written.recv_timeout(Duration::from_secs(10)).expect("a part"), b"fi");
        drop(orders);
        for expected in [&b"\n"[..], b"lost 1\n"] {
            assert_eq!(written.recv_timeout(Duration::from_secs(10)).expect("the report"), expected);
        }
    }

    #[test]
    fn the_end_waits_for_the_last_lines_and_not_for_ever() {
        let (queue, orders, written) = ordered();
        log(&queue, "last\n");
        orders.send(Ok(usize::MAX)).expect("it lives");
        queue.finish(Duration::from_secs(10));
        assert_eq!(written.try_recv().expect("it was written before finish returned"), b"last\n");
        let (queue, _orders, _written) = ordered();
        log(&queue, "never\n");
        let started = Instant::now();
        queue.finish(Duration::from_millis(50));
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}
