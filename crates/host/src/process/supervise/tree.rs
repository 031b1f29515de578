//! The descendants of this process: finding them, and ending them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

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
    walk(spared, |_| ()).into_iter().filter(|&pid| is_alive(pid)).collect()
}

/// Calls `seen` with each process beneath this one, as soon as its number is known.
pub(super) fn each(seen: impl FnMut(i32)) {
    walk(&HashSet::new(), seen);
}

/// The same, and those that are dead and not reaped yet. `seen` is called with each at once.
fn walk(spared: &HashSet<i32>, mut seen: impl FnMut(i32)) -> Vec<i32> {
    let own = std::process::id() as i32;
    // Most kernels have CONFIG_PROC_CHILDREN; reading every process's parent takes milliseconds.
    if Path::new("/proc/thread-self/children").exists() {
        by_children(own, spared, seen)
    } else {
        let found = by_parents(own, all_processes(), spared);
        found.iter().for_each(|&pid| seen(pid));
        found
    }
}

/// Walks down from child to child.
fn by_children(own: i32, spared: &HashSet<i32>, mut seen: impl FnMut(i32)) -> Vec<i32> {
    let mut found: Vec<i32> = children(own).into_iter().filter(|pid| !spared.contains(pid)).collect();
    found.iter().for_each(|&pid| seen(pid));
    // A child may move up to this process between two readings, and be seen twice.
    let mut known: HashSet<i32> = found.iter().copied().collect();
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        for child in children(pid).into_iter().filter(|&child| known.insert(child)) {
            seen(child);
            found.push(child);
        }
        next += 1;
    }
    found
}

fn is_alive(pid: i32) -> bool {
    read_process(pid).is_some_and(|process| process.live)
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
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for process in &all {
        children.entry(process.parent).or_default().push(process.pid);
    }
    let mut found = vec![own];
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        found.extend(children.remove(parent).unwrap_or_default());
        next += 1;
    }
    let live: HashSet<i32> = all.iter().filter(|process| process.live).map(|process| process.pid).collect();
    found.into_iter().skip(1).filter(|pid| live.contains(pid)).collect()
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

/// One attempt on a tree: what was found alive, and which processes could not be killed.
#[derive(Debug, Default)]
pub(super) struct Pass {
    pub(super) killed: Vec<i32>,
    pub(super) refused: Vec<i32>,
    /// Every descendant was stopped before the first was killed, so that none can have escaped.
    pub(super) settled: bool,
}

/// Stops every descendant before it kills the first: a stopped process forks no further one, and starts none in place of one
/// that was killed. `reap` is called again and again meanwhile: the dead of a tree that forks fast would fill the lists.
pub(super) fn kill_pass(spared: &HashSet<i32>, reap: impl FnMut()) -> Pass {
    kill_pass_by(&mut sys::kill, spared, FREEZE_TIME, reap)
}

fn kill_pass_by(
    send: &mut impl FnMut(i32, i32) -> io::Result<()>,
    spared: &HashSet<i32>,
    time: Duration,
    mut reap: impl FnMut(),
) -> Pass {
    let (frozen, settled) = freeze(send, spared, time, &mut reap);
    let mut pass = Pass { settled, ..Pass::default() };
    for pid in frozen {
        match send(pid, libc::SIGKILL) {
            Ok(()) => pass.killed.push(pid),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => pass.refused.push(pid),
            Err(_) => {} // ESRCH: it ended by itself.
        }
    }
    pass
}

/// How long to try to stop a whole tree. What is stopped by then is killed, which leaves less to run away, and the next
/// pass begins.
const FREEZE_TIME: Duration = Duration::from_millis(100);

/// Stops the tree; returns those alive in it, and whether all of them are stopped.
///
/// A process that forks and ends is replaced by its child, which becomes a child of this process, the subreaper. So this
/// process's own children are read first, again and again, and each is stopped as soon as its number is known.
fn freeze(
    send: &mut impl FnMut(i32, i32) -> io::Result<()>,
    spared: &HashSet<i32>,
    time: Duration,
    reap: &mut impl FnMut(),
) -> (Vec<i32>, bool) {
    let own = std::process::id() as i32;
    let started = Instant::now();
    let mut stopped = HashSet::new();
    let mut stop = |pid: i32| {
        let new = !spared.contains(&pid) && stopped.insert(pid);
        if new {
            let _ = send(pid, libc::SIGSTOP);
        }
        new
    };
    loop {
        reap();
        while children(own).into_iter().filter(|&pid| stop(pid)).count() > 0 && started.elapsed() < time {
            reap();
        }
        let mut new = 0;
        let found = walk(spared, |pid| new += usize::from(stop(pid)));
        let settled = new == 0;
        if settled || started.elapsed() >= time {
            return (found.into_iter().filter(|&pid| is_alive(pid)).collect(), settled);
        }
    }
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
        let by_list = by_children(own, &HashSet::new(), |_| ()).contains(&pid);
        let by_scan = by_parents(own, all_processes(), &HashSet::new()).contains(&pid);
        child.kill().expect("it is ours");
        child.wait().expect("it was killed");
        assert!(by_list && by_scan, "by list {by_list}, by scan {by_scan}");
    }

    #[test]
    fn the_whole_tree_is_stopped_before_the_first_is_killed() {
        let start = |script: &str| std::process::Command::new("sh").args(["-c", script]).spawn().expect("sh starts");
        let mut family = [start("sleep 30; exit"), start("sleep 30 & sleep 30; exit"), start("sleep 30; exit")];
        let ours: HashSet<i32> = family.iter().map(|child| child.id() as i32).collect();
        // Other tests of this process have children too.
        let others: HashSet<i32> =
            children(std::process::id() as i32).into_iter().filter(|pid| !ours.contains(pid)).collect();
        let tree = || descendants(&others).len();
        while tree() < 7 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut sent = Vec::new();
        let mut send = |pid, signal| {
            sent.push((pid, signal));
            sys::kill(pid, signal)
        };
        let pass = kill_pass_by(&mut send, &others, Duration::from_secs(60), || ());
        family.iter_mut().for_each(|child| drop(child.wait()));
        let first_kill = sent.iter().position(|(_, signal)| *signal == libc::SIGKILL).expect("they are killed");
        let pids = |sent: &[(i32, i32)]| sent.iter().map(|(pid, _)| *pid).collect::<HashSet<_>>();
        assert!(pass.settled && sent[..first_kill].iter().all(|(_, signal)| *signal == libc::SIGSTOP), "{sent:?}");
        assert_eq!(pids(&sent[..first_kill]), pids(&sent[first_kill..]), "{sent:?}");
        assert_eq!(pass.killed.len(), 7, "{pass:?}");
    }
}
