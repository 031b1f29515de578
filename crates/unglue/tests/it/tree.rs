//! Processes of this machine, as `/proc` shows them (proc(5)).

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use unglue::Exec;

use crate::site::eventually;

/// A value in a command's environment, by which all that comes of it is found.
pub(crate) struct Mark(String);

const VARIABLE: &str = "UNGLUE_TEST_MARK";

impl Mark {
    pub(crate) fn new() -> Mark {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Mark(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The command with the mark on it.
    pub(crate) fn on(&self, exec: Exec) -> Exec {
        exec.env(VARIABLE, &self.0)
    }

    /// The live processes that have it.
    pub(crate) fn alive(&self) -> Vec<i32> {
        let wanted = format!("{VARIABLE}={}", self.0);
        let has_it = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&byte| byte == 0).any(|entry| entry == wanted.as_bytes())
        };
        pids().into_iter().filter(has_it).collect()
    }

    /// Waits until so many live.
    pub(crate) async fn count(&self, count: usize) {
        eventually(10, &format!("{count} processes"), || self.alive().len() == count).await;
    }

    /// Waits until none is left, and tells how long that took.
    pub(crate) async fn gone(&self, within: Duration) -> Duration {
        let start = Instant::now();
        while !self.alive().is_empty() {
            let (alive, after) = (self.alive(), start.elapsed());
            assert!(after < within, "after {after:?} there are still {alive:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        start.elapsed()
    }
}

impl Drop for Mark {
    /// A test that failed leaves nothing either.
    fn drop(&mut self) {
        for pid in self.alive() {
            kill(pid, Signal::KILL);
        }
    }
}

pub(crate) fn kill(pid: i32, signal: Signal) {
    // It may have ended by itself.
    let _ = kill_process(Pid::from_raw(pid).expect("a pid"), signal);
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// All that descend from a process.
pub(crate) fn descendants(of: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = pids().into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// The words that it was started with, each with a NUL behind it; empty once it has ended.
pub(crate) fn command_line(pid: i32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

/// `RssAnon`, in bytes; 0 once it has ended.
pub(crate) fn anonymous_memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
