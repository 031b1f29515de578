//! How long connecting may take. Time in which a person is asked for something doesn't count.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Notes when a person is asked, and for how long.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    before: Duration,
    since: Option<Instant>,
}

impl Asked {
    /// Asks, and notes how long the answer took.
    pub(crate) fn ask<T>(&self, ask: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        self.change(|state| state.since = Some(started));
        let answer = ask();
        self.change(|state| {
            state.since = None;
            state.before += started.elapsed();
        });
        answer
    }

    /// How long all answers have taken so far, the one under way included.
    fn so_far(&self) -> Duration {
        self.change(|state| state.before + state.since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Does `work` for so long at most, not counting the time of questions. `None` if that wasn't enough; the work is dropped then.
pub(crate) async fn within<T>(limit: Duration, asked: &Asked, work: impl Future<Output = T>) -> Option<T> {
    let started = Instant::now();
    let mut work = pin!(work);
    loop {
        let spent = started.elapsed().saturating_sub(asked.so_far());
        let left = limit.checked_sub(spent).filter(|left| !left.is_zero())?;
        tokio::select! {
            done = &mut work => return Some(done),
            () = tokio::time::sleep(left) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_takes_too_long_is_dropped_and_questions_do_not_count() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let ms = Duration::from_millis;
        runtime.block_on(async {
            let asked = Asked::default();
            assert_eq!(within(ms(50), &asked, std::future::pending::<()>()).await, None);
            assert_eq!(within(ms(50), &asked, async { 1 }).await, Some(1));
            let asking = asked.clone();
            let ((begin, begun), (answer, answered)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
            let person = std::thread::spawn(move || {
                asking.ask(|| {
                    begin.send(()).expect("it waits");
                    answered.recv()
                })
            });
            begun.recv().expect("it asks");
            let slow = async {
                tokio::time::sleep(ms(300)).await;
                2
            };
            assert_eq!(within(ms(200), &asked, slow).await, Some(2));
            answer.send(()).expect("it waits");
            person.join().expect("no panic").expect("an answer");
        });
    }
}
