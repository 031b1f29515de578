//! What a command leaves behind, and what becomes of it.

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use unglue_host::process::{Descendants, JobError, Left, Status};

use super::{children, code, command, eventually, kill, marked, parent, run, shell, stat, with_pool};

/// Two that escape from their group, session, parent and streams, and print when they are there: `cat` waits for the shells
/// that start them, which hold its pipe.
const ESCAPE: &str = "
    (setsid sh -c '(exec sleep 300 </dev/null >/dev/null 2>&1) & (setsid sleep 300 </dev/null >/dev/null 2>&1 &)' &) | cat
    sleep 0.3; echo escaped";

#[test]
fn what_escapes_is_killed_at_the_end() {
    with_pool(async |pool| {
        let (command, mark) = marked(shell(ESCAPE), "escape");
        let ran = run(&pool, &command).await;
        assert_eq!((ran.text().as_str(), ran.left), ("escaped\n", Left::Killed(2)));
        assert_eq!(mark.alive(), [0; 0], "gone when it is said");
        assert_eq!(run(&pool, &command).await.left, Left::Killed(2), "by the same supervisor again");
    });
}

#[test]
fn what_escapes_is_killed_when_the_job_is_dropped() {
    with_pool(async |pool| {
        let (command, mark) = marked(shell(&format!("{ESCAPE}; sleep 300")), "drop");
        let (job, mut pipes) = pool.spawn(&command).await.expect("it starts");
        let mut line = [0; 8];
        pipes.stdout.read_exact(&mut line).await.expect("it prints");
        mark.wait_count(4).await;
        let start = Instant::now();
        drop(job);
        assert!(start.elapsed() < Duration::from_secs(1), "dropping doesn't wait");
        mark.wait_gone();
    });
}

#[test]
fn what_is_left_lives_on_and_is_reaped() {
    with_pool(async |pool| {
        let (command, mark) = marked(shell(ESCAPE), "leave");
        let (mut job, _pipes) = pool.spawn(&command).await.expect("it starts");
        assert_eq!(job.exited().await.expect("it ends").status, code(0));
        let alive = mark.alive();
        let supervisor = parent(alive[0]);
        assert_eq!(job.end_tree(Descendants::Leave).await.expect("it is let go"), Left::Running(2));
        drop(job);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(mark.alive(), alive);
        for pid in alive {
            kill(pid);
            eventually("it is reaped", || stat(pid).is_none()).await;
        }
        eventually("its supervisor ends with the last of them", || stat(supervisor).is_none()).await;
    });
}

#[test]
fn a_running_command_can_be_let_go_or_ended() {
    with_pool(async |pool| {
        let (sleeper, mark) = marked(command(["sleep", "300"]), "let-go");
        let (mut job, _pipes) = pool.spawn(&sleeper).await.expect("it starts");
        assert_eq!(job.end_tree(Descendants::Leave).await.expect("it is let go"), Left::Running(1));
        assert!(matches!(job.exited().await, Err(JobError::LetGo)));
        drop(job);
        mark.wait_count(1).await;
        kill(mark.alive()[0]);
        mark.wait_gone();

        let (tree, mark) = marked(shell("sleep 300 & sleep 300"), "end");
        let (mut job, _pipes) = pool.spawn(&tree).await.expect("it starts");
        mark.wait_count(3).await;
        let left = job.end_tree(Descendants::Kill).await.expect("it is killed");
        assert_eq!(left, Left::Killed(2), "the command itself isn't counted");
        let exit = job.exited().await.expect("its end is known");
        assert_eq!(exit.status, Status::Signalled { signal: libc::SIGKILL, core: false });
        assert_eq!(mark.alive(), [0; 0]);
    });
}

#[test]
fn a_child_that_holds_the_output_delays_nobody() {
    with_pool(async |pool| {
        let (command, mark) = marked(shell("sleep 300 & echo hi"), "hold");
        let (mut job, mut pipes) = pool.spawn(&command).await.expect("it starts");
        let start = Instant::now();
        assert_eq!(job.exited().await.expect("it ends").status, code(0));
        assert!(start.elapsed() < Duration::from_secs(5));
        assert_eq!(job.end_tree(Descendants::Kill).await.expect("it is killed"), Left::Killed(1));
        let mut printed = String::new();
        pipes.stdout.read_to_string(&mut printed).await.expect("the pipe has ended");
        assert_eq!(printed, "hi\n");
        mark.wait_gone();
    });
}

#[test]
fn a_crowd_and_a_tree_that_keeps_growing_are_killed() {
    with_pool(async |pool| {
        let crowd = "i=0; while [ $i -lt 50 ]; do (setsid sleep 300 &); i=$((i+1)); done; sleep 0.3";
        let (command, mark) = marked(shell(crowd), "crowd");
        assert_eq!(run(&pool, &command).await.left, Left::Killed(50));
        assert_eq!(mark.alive(), [0; 0]);

        // Each of these starts two more for as long as it lives: born faster than a list is read.
        let growing = "breed() { while :; do (exec sleep 300) & sleep 0.002; done; }; (breed &); (breed &); sleep 1";
        let (command, mark) = marked(shell(growing), "growing");
        let ran = run(&pool, &command).await;
        assert!(matches!(ran.left, Left::Killed(count) if count > 10), "{:?}", ran.left);
        assert_eq!(mark.alive(), [0; 0]);
    });
}

#[test]
fn a_tree_that_never_stands_still_is_killed() {
    with_pool(async |pool| {
        // Each process forks one and ends: by the time that its number is read, it is another's turn.
        let rolling = "roll() { roll & }; i=0; while [ $i -lt 8 ]; do (roll); i=$((i+1)); done; sleep 0.2";
        let (command, mark) = marked(shell(rolling), "rolling");
        let start = Instant::now();
        let ran = run(&pool, &command).await;
        assert!(matches!(ran.left, Left::Killed(count) if count >= 1), "{:?} after {:?}", ran.left, start.elapsed());
        assert_eq!(mark.alive(), [0; 0]);
    });
}

/// Forks so many chains in which each process forks the next and ends. Whatever the test does, their user has at most 600
/// processes, the dead included, and they end by themselves after 20 s.
const CHAINS: &str = "
    #include <stdlib.h>
    #include <sys/resource.h>
    #include <time.h>
    #include <unistd.h>
    int main(int count, char **words) {
        time_t end = time(0) + 20;
        struct rlimit most = {600, 600};
        if (setrlimit(RLIMIT_NPROC, &most) != 0 || (getuid() == 0 && setuid(65534) != 0))
            return 9;
        for (int left = atoi(words[1]); left > 0;) {
            pid_t chain = fork();
            left -= chain > 0;
            if (chain == 0) {
                setsid();
                while (time(0) < end)
                    if (fork() > 0)
                        _exit(0);
                _exit(0);
            }
        }
        usleep(300000);
        return 0;
    }";

#[test]
fn chains_that_fork_and_end_as_fast_as_they_can_are_killed_within_two_seconds() {
    let directory = tempfile::tempdir().expect("a directory");
    let (source, program) = (directory.path().join("chains.c"), directory.path().join("chains"));
    std::fs::write(&source, CHAINS).expect("written");
    let compiled = std::process::Command::new("cc").arg("-o").arg(&program).arg(&source).status();
    if !compiled.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no C compiler (cc)");
        return;
    }
    with_pool(async |pool| {
        for count in [1, 10, 100] {
            let words = [program.to_str().expect("UTF-8"), &count.to_string()].map(str::to_owned);
            let (chains, mark) = marked(command(words), "chains");
            let (mut job, _pipes) = pool.spawn(&chains).await.expect("it starts");
            assert_eq!(job.exited().await.expect("it ends").status, code(0));
            let start = Instant::now();
            let left = job.end_tree(Descendants::Kill).await.expect("it is killed");
            let took = start.elapsed();
            eprintln!("{count} chains: {left:?} after {took:?}");
            assert!(matches!(left, Left::Killed(killed) if killed >= count), "{count} chains: {left:?} after {took:?}");
            assert!(took < Duration::from_secs(2), "{count} chains: {took:?}");
            assert_eq!(mark.alive(), [0; 0]);
        }
    });
}

#[test]
fn a_tree_that_respawns_what_is_killed_is_killed() {
    with_pool(async |pool| {
        // The two watch each other; whoever sees the other dead starts it anew.
        let script = "guard() { while :; do sh -c 'exec sleep 0.01'; (sleep 300 &); done; }
            (setsid sh -c \"$(printf '%s' 'while :; do sleep 0.01; (sleep 300 &) ; done')\" &) ; guard & sleep 0.3";
        let (command, mark) = marked(shell(script), "respawn");
        let ran = run(&pool, &command).await;
        assert!(matches!(ran.left, Left::Killed(_)), "{:?}", ran.left);
        assert_eq!(mark.alive(), [0; 0]);
    });
}

#[test]
fn killing_its_supervisor_frees_no_command() {
    with_pool(async |pool| {
        let script = "(setsid sleep 300 &); sleep 0.1; kill -9 $PPID; sleep 300";
        let (command, mark) = marked(shell(script), "patricide");
        let (mut job, _pipes) = pool.spawn(&command).await.expect("it starts");
        let error = job.exited().await.expect_err("nobody can know");
        assert!(matches!(error, JobError::SupervisorLost), "{error}");
        mark.wait_gone();
        assert!(matches!(job.end_tree(Descendants::Kill).await, Err(JobError::SupervisorLost)));
        assert_eq!(run(&pool, &shell("exit 5")).await.exit.status, code(5), "others go on");
    });
}

#[test]
fn stopping_its_supervisor_helps_no_command() {
    with_pool(async |pool| {
        let (command, mark) = marked(shell("(setsid sleep 300 &); kill -STOP $PPID; exit 4"), "stop");
        let ran = run(&pool, &command).await;
        assert_eq!((ran.exit.status, ran.left), (code(4), Left::Killed(1)));
        let ran =
            run(&pool, &shell("for s in TERM INT HUP QUIT USR1 ALRM TSTP; do kill -$s $PPID; done; exit 6")).await;
        assert_eq!(ran.exit.status, code(6), "no other signal moves it");
        mark.wait_gone();
    });
}

#[test]
fn killing_the_spawner_is_made_good() {
    with_pool(async |pool| {
        let (sleeper, mark) = marked(command(["sleep", "300"]), "spawner");
        let (job, _pipes) = pool.spawn(&sleeper).await.expect("it starts");
        kill(parent(parent(job.pid() as i32)));
        let mut held = Vec::new();
        for _ in 0..4 {
            // More than were ready: new ones have to be born.
            held.push(pool.spawn(&command(["sleep", "300"])).await.expect("it starts"));
            assert_eq!(run(&pool, &shell("exit 8")).await.exit.status, code(8));
        }
        drop(job);
        mark.wait_gone();
    });
}

#[test]
fn the_dead_are_reaped_while_the_command_runs() {
    with_pool(async |pool| {
        let script = "i=0; while [ $i -lt 20 ]; do (sleep 0.01 &); i=$((i+1)); done; exec sleep 300";
        let (job, _pipes) = pool.spawn(&shell(script)).await.expect("it starts");
        let supervisor = parent(job.pid() as i32);
        let sleeping = vec![(job.pid() as i32, "S".to_owned())];
        eventually("only the command is left", || children(supervisor) == sleeping).await;
        drop(job);
        eventually("the supervisor has gone", || stat(supervisor).is_none()).await;
    });
}
