//! The descendants of this process: finding them, and ending them.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::process::sys;

/// A live process; the dead that nobody has reaped yet don't count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    live: bool,
}

/// The processes beneath this one that are alive, parents first; without the `spared` children and what is
/// beneath those.
pub(super) fn descendants(spared: &HashSet<i32>) -> Vec<i32> {
    let own = std::process::id() as i32;
    // Most kernels have CONFIG_PROC_CHILDREN; reading every process's parent takes milliseconds.
    if Path::new("/proc/thread-self/children").exists() {
        by_children(own, spared)
    } else {
        by_parents(own, all_processes(), spared)
    }
}

/// Walks down from child to child.
fn by_children(own: i32, spared: &HashSet<i32>) -> Vec<i32> {
    let mut found: Vec<i32> = children(own).into_iter().filter(|pid| !spared.contains(pid)).collect();
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(children(pid));
        next += 1;
    }
    found.retain(|&pid| read_process(pid).is_some_and(|process| process.live));
    found
}

/// The children of every thread of a process, the dead included.
fn children(pid: i32) -> Vec<i32> {
    // What vanishes while it is read has no children any more.
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Finds the same in a list of every process.
fn by_parents(own: i32, mut all: Vec<Process>, spared: &HashSet<i32>) -> Vec<i32> {
    all.retain(|process| !spared.contains(&process.pid));
    let mut parents = vec![own];
    let mut next = 0;
    while let Some(&parent) = parents.get(next) {
        parents.extend(all.iter().filter(|process| process.parent == parent).map(|process| process.pid));
        next += 1;
    }
    let live: HashSet<i32> = all.iter().filter(|process| process.live).map(|process| process.pid).collect();
    parents.into_iter().skip(1).filter(|pid| live.contains(pid)).collect()
}

fn all_processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| read_process(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn read_process(pid: i32) -> Option<Process> {
    parse_stat(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads `proc_pid_stat(5)`: the name, in parentheses, may itself hold parentheses and spaces.
fn parse_stat(pid: i32, stat: &[u8]) -> Option<Process> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace();
    let live = !matches!(fields.next()?, "Z" | "X" | "x");
    Some(Process { pid, parent: fields.next()?.parse().ok()?, live })
}

/// One attempt on a tree: what was found alive, and who could not be killed.
#[derive(Debug, Default)]
pub(super) struct Pass {
    pub(super) killed: Vec<i32>,
    pub(super) refused: Vec<i32>,
}

/// Stops every descendant before it kills the first: a stopped process can't fork away from the list.
pub(super) fn kill_pass(spared: &HashSet<i32>) -> Pass {
    let mut pass = Pass::default();
    for pid in freeze(spared) {
        match sys::kill(pid, libc::SIGKILL) {
            Ok(()) => pass.killed.push(pid),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => pass.refused.push(pid),
            Err(_) => {} // ESRCH: it ended by itself.
        }
    }
    pass
}

/// How often the tree is read again for newcomers before the killing starts; a tree that grows faster is
/// caught by the next pass.
const FREEZE_ROUNDS: usize = 20;

fn freeze(spared: &HashSet<i32>) -> Vec<i32> {
    let mut stopped = HashSet::new();
    for _ in 0..FREEZE_ROUNDS {
        let found = descendants(spared);
        let known = stopped.len();
        for &pid in &found {
            if stopped.insert(pid) {
                let _ = sys::kill(pid, libc::SIGSTOP);
            }
        }
        if stopped.len() == known {
            return found;
        }
    }
    descendants(spared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_whatever_the_name() {
        let process = |stat: &str| parse_stat(7, stat.as_bytes());
        assert_eq!(process("7 (a) Z 9) S 3 7 7"), Some(Process { pid: 7, parent: 3, live: true }));
        assert_eq!(process("7 (sleep) Z 1 7 7"), Some(Process { pid: 7, parent: 1, live: false }));
        assert_eq!(process("7 (sleep)"), None);
    }

    #[test]
    fn both_ways_find_the_same_tree() {
        let live = |pid, parent| Process { pid, parent, live: true };
        let dead = Process { live: false, ..live(12, 10) };
        let all = vec![live(1, 0), live(10, 1), live(11, 10), dead, live(13, 12), live(20, 1), live(21, 20)];
        assert_eq!(by_parents(1, all.clone(), &HashSet::from([20])), [10, 11, 13]);
        assert_eq!(by_parents(10, all, &HashSet::new()), [11, 13]);
    }

    #[test]
    fn a_child_of_this_process_is_found_either_way() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().expect("sleep starts");
        let own = std::process::id() as i32;
        let pid = child.id() as i32;
        let by_list = by_children(own, &HashSet::new()).contains(&pid);
        let by_scan = by_parents(own, all_processes(), &HashSet::new()).contains(&pid);
        child.kill().expect("it is ours");
        child.wait().expect("it was killed");
        assert!(by_list && by_scan, "by list {by_list}, by scan {by_scan}");
    }
}
