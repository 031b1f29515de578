//! What a command is given, how its end is told, and why it may not start.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use unglue_host::process::{Command, Descendants, JobError, Left, SpawnError, Status, Supervisors, WIDE_PIPE, widen};

use super::{code, command, parent, run, shell, with_pool};

#[test]
fn argv_arrives_as_it_was_sent() {
    with_pool(async |pool| {
        let odd = [&b"a b"[..], b"'\"\\$x`", b"line\nline\r\n", b"\xff\xfe\x80", b"", b"--", "ü粘".as_bytes()];
        let mut argv: Vec<OsString> = ["sh", "-c", "cat /proc/$$/cmdline", ""].map(Into::into).to_vec();
        argv.extend(odd.iter().map(|bytes| OsString::from_vec(bytes.to_vec())));
        let expected: Vec<u8> = argv.iter().flat_map(|argument| [argument.as_bytes(), b"\0"].concat()).collect();
        let ran = run(&pool, &command(argv)).await;
        assert_eq!(ran.stdout, expected);
        assert_eq!((ran.exit.status, ran.left), (code(0), Left::None));
    });
}

#[test]
fn the_environment_is_the_given_one_and_no_more() {
    with_pool(async |pool| {
        let value = OsString::from_vec(b"\xff = \n".to_vec());
        let env = vec![("B".into(), value), ("A".into(), "".into())];
        let ran = run(&pool, &Command { env, ..Command::new(["/bin/cat", "/proc/self/environ"]) }).await;
        assert_eq!(ran.stdout, b"B=\xff = \n\0A=\0");
        let ran = run(&pool, &Command::new(["/bin/cat", "/proc/self/environ"])).await;
        assert_eq!(ran.stdout, b"");
    });
}

#[test]
fn the_command_starts_in_its_directory() {
    with_pool(async |pool| {
        let directory = tempfile::tempdir().expect("a directory");
        let odd = directory.path().join(OsStr::from_bytes(b"a b\xff"));
        fs::create_dir(&odd).expect("it is made");
        let cwd = |cwd: &Path| Command { cwd: cwd.into(), ..command(["readlink", "-n", "/proc/self/cwd"]) };
        assert_eq!(run(&pool, &cwd(&odd)).await.stdout, odd.as_os_str().as_bytes());
        // The same supervisor, the next job: no trace of the last one's directory.
        assert_eq!(run(&pool, &cwd(Path::new("/"))).await.stdout, b"/");
        fs::write(odd.join("here"), "#!/bin/sh\necho found").expect("it is written");
        make_executable(&odd.join("here"));
        let relative = Command { cwd: odd.clone(), ..command(["./here"]) };
        assert_eq!(run(&pool, &relative).await.text(), "found\n");
    });
}

#[test]
fn exit_codes_and_signals_are_told_apart() {
    with_pool(async |pool| {
        for number in [0, 1, 3, 137, 255] {
            assert_eq!(run(&pool, &shell(&format!("exit {number}"))).await.exit.status, code(number));
        }
        for (name, signal) in [("TERM", 15), ("KILL", 9), ("HUP", 1), ("USR1", 10), ("PIPE", 13)] {
            let ran = run(&pool, &shell(&format!("kill -{name} $$"))).await;
            assert_eq!(ran.exit.status, Status::Signalled { signal, core: false }, "{name}");
        }
    });
}

#[test]
fn a_core_is_reported_as_the_kernel_reports_it() {
    with_pool(async |pool| {
        let directory = tempfile::tempdir().expect("a directory");
        for limit in ["0", "unlimited"] {
            let script = format!("ulimit -c {limit} || exit 9; kill -ABRT $$");
            let bare = std::process::Command::new("sh").args(["-c", &script]).current_dir(&directory).status();
            let bare = bare.expect("it runs");
            let ran = run(&pool, &Command { cwd: directory.path().into(), ..shell(&script) }).await;
            match bare.signal() {
                Some(signal) => {
                    let core = bare.core_dumped();
                    assert_eq!(ran.exit.status, Status::Signalled { signal, core }, "ulimit -c {limit}");
                }
                None => eprintln!("skipped: this user may not set ulimit -c {limit}"),
            }
        }
    });
}

#[test]
fn time_is_counted_where_it_is_spent() {
    with_pool(async |pool| {
        let ran = run(&pool, &shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done")).await;
        assert!(ran.exit.user > Duration::from_millis(20), "{:?}", ran.exit);
        let ran = run(&pool, &command(["true"])).await;
        assert!(ran.exit.user + ran.exit.system < Duration::from_millis(500), "{:?}", ran.exit);
    });
}

/// The error of a command that must not start.
async fn refused(pool: &Supervisors, command: &Command) -> SpawnError {
    match pool.spawn(command).await {
        Err(error) => error,
        Ok((job, _)) => panic!("{command:?} started as {}", job.pid()),
    }
}

#[test]
fn a_program_that_is_not_there_or_not_runnable_is_named() {
    with_pool(async |pool| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name).into_os_string();
        let write = |name: &str, text: &str, executable: bool| {
            fs::write(path(name), text).expect("it is written");
            if executable {
                make_executable(path(name).as_ref());
            }
        };
        write("plain", "#!/bin/sh\n", false);
        write("garbage", "neither ELF nor a script\n", true);
        write("orphan", "#!/no/such/interpreter\n", true);
        let cases = [
            ("lllll".into(), libc::ENOENT),
            ("".into(), libc::ENOENT),
            ("/no/such/program".into(), libc::ENOENT),
            ("/etc/passwd/program".into(), libc::ENOTDIR),
            (path("plain"), libc::EACCES),
            (directory.path().into(), libc::EACCES),
            (path("garbage"), libc::ENOEXEC),
            (path("orphan"), libc::ENOENT),
        ];
        for (name, expected) in cases {
            match refused(&pool, &command([&name])).await {
                SpawnError::Program { program, errno } => assert_eq!((program, errno), (name, expected)),
                other => panic!("{name:?}: {other}"),
            }
        }
        assert_eq!(run(&pool, &command(["true"])).await.exit.status, code(0), "the supervisors go on");
    });
}

#[test]
fn a_directory_that_can_t_be_entered_is_not_mistaken_for_the_program() {
    with_pool(async |pool| {
        for (cwd, expected) in [("/no/such/dir", libc::ENOENT), ("/etc/passwd", libc::ENOTDIR), ("", libc::ENOENT)] {
            let error = refused(&pool, &Command { cwd: cwd.into(), ..command(["true"]) }).await;
            assert!(matches!(&error, SpawnError::Cwd { errno, .. } if *errno == expected), "{cwd:?}: {error}");
            assert!(error.to_string().contains(cwd), "{error}");
        }
    });
}

#[test]
fn the_program_is_searched_along_the_given_path() {
    with_pool(async |pool| {
        let directory = tempfile::tempdir().expect("a directory");
        let (first, second) = (directory.path().join("1"), directory.path().join("2"));
        for (directory, runnable) in [(&first, false), (&second, true)] {
            fs::create_dir(directory).expect("it is made");
            fs::write(directory.join("tool"), "#!/bin/sh\necho \"$0\"\n").expect("it is written");
            if runnable {
                make_executable(&directory.join("tool"));
            }
        }
        let search = |path: OsString| Command { env: vec![("PATH".into(), path)], ..Command::new(["tool"]) };
        let both = std::env::join_paths([Path::new("/no/such"), &first, &second]).expect("a path");
        let ran = run(&pool, &search(both)).await;
        assert_eq!(ran.text().trim_end(), second.join("tool").to_string_lossy());
        let error = refused(&pool, &search(first.clone().into())).await;
        assert_eq!(error.errno(), Some(libc::EACCES), "found, but not runnable");
        let empty = Command { cwd: second, ..search("".into()) };
        assert_eq!(run(&pool, &empty).await.text().trim_end(), "tool", "an empty entry is the current directory");
        assert_eq!(run(&pool, &Command::new(["true"])).await.exit.status, code(0), "without PATH: /bin and /usr/bin");
    });
}

#[test]
fn large_requests_arrive_and_too_large_ones_are_named() {
    with_pool(async |pool| {
        let with = |extra: Vec<String>| {
            let fixed = ["sh", "-c", "printf %s \"$@\" | wc -c", "sh"].map(String::from);
            command(fixed.into_iter().chain(extra))
        };
        for (size, count) in [(30_000, 1), (100_000, 1), (100_000, 15), (10, 20_000)] {
            let ran = run(&pool, &with(vec!["x".repeat(size); count])).await;
            assert_eq!(ran.text().trim().parse(), Ok(size * count));
        }
        for (size, count) in [(200_000, 1), (100_000, 40)] {
            let error = refused(&pool, &with(vec!["x".repeat(size); count])).await;
            assert_eq!(error.errno(), Some(libc::E2BIG), "{error}");
            assert!(error.to_string().contains("E2BIG"), "{error}");
        }
    });
}

#[test]
fn a_command_inherits_three_descriptors_and_no_signal_state() {
    with_pool(async |pool| {
        // `ls` itself opens the fourth, the directory.
        assert_eq!(run(&pool, &command(["ls", "/proc/self/fd"])).await.text(), "0\n1\n2\n3\n");
        let ran = run(&pool, &command(["cat", "/proc/self/status"])).await;
        assert_eq!(ran.stderr, b"");
        for set in ["SigBlk", "SigIgn", "SigCgt"] {
            let line = format!("{set}:\t0000000000000000\n");
            assert!(ran.text().contains(&line), "{}", ran.text());
        }
    });
}

#[test]
fn a_command_leads_a_session_of_its_own() {
    with_pool(async |pool| {
        let (mut job, mut pipes) = pool.spawn(&command(["cat", "/proc/self/stat"])).await.expect("it starts");
        let mut text = String::new();
        pipes.stdout.read_to_string(&mut text).await.expect("it is text");
        let fields: Vec<&str> = text.split(' ').collect();
        let pid = job.pid().to_string();
        assert_eq!([fields[0], fields[4], fields[5]], [&*pid; 3], "pid, group and session");
        job.exited().await.expect("it ends");
        job.end_tree(Descendants::Kill).await.expect("nothing is left");
    });
}

#[test]
fn input_comes_from_the_pipe_or_from_nowhere() {
    with_pool(async |pool| {
        let ran = run(&pool, &shell("readlink /proc/self/fd/0; cat")).await;
        assert_eq!(ran.text(), "/dev/null\n");
        let (mut job, pipes) = pool.spawn(&Command { stdin: true, ..command(["cat"]) }).await.expect("it starts");
        let (Some(mut stdin), mut stdout) = (pipes.stdin, pipes.stdout) else { panic!("stdin was asked for") };
        let sent = vec![b'x'; 1 << 20];
        let write = async {
            stdin.write_all(&sent).await.expect("cat reads");
            drop(stdin);
        };
        let mut got = Vec::new();
        let (_, read) = tokio::join!(write, stdout.read_to_end(&mut got));
        read.expect("cat prints");
        assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
        assert_eq!(job.exited().await.expect("it ends").status, code(0));
    });
}

#[test]
fn the_command_s_own_ends_block_and_grow() {
    with_pool(async |pool| {
        let (mut job, mut pipes) = pool.spawn(&shell("head -c 3000000 /dev/zero")).await.expect("it starts");
        let wide = widen(&pipes.stdout);
        let size = rustix::pipe::fcntl_getpipe_size(&pipes.stdout).expect("a pipe");
        assert_eq!(wide, size >= WIDE_PIPE, "{size}: an ordinary user may be refused");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut got = Vec::new();
        pipes.stdout.read_to_end(&mut got).await.expect("it prints");
        assert_eq!(got.len(), 3_000_000);
        assert_eq!(job.exited().await.expect("it ends").status, code(0), "it was never told EAGAIN");
    });
}

#[test]
fn a_signal_reaches_the_command_s_group_while_it_lives() {
    with_pool(async |pool| {
        let script = "trap 'echo caught; exit 7' USR1; sleep 30 & sleep 0.2; echo ready; wait";
        let (mut job, mut pipes) = pool.spawn(&shell(script)).await.expect("it starts");
        let mut line = [0; 6];
        pipes.stdout.read_exact(&mut line).await.expect("it prints");
        assert!(matches!(job.signal(0), Err(JobError::NoSuchSignal { signal: 0 })));
        assert!(matches!(job.signal(65), Err(JobError::NoSuchSignal { signal: 65 })));
        job.signal(libc::SIGUSR1).expect("it lives");
        assert_eq!(job.exited().await.expect("it ends").status, code(7));
        let mut rest = String::new();
        // The `sleep` was of the group too: nobody holds the pipe any more.
        pipes.stdout.read_to_string(&mut rest).await.expect("it ends");
        assert_eq!(rest, "caught\n");
        assert!(matches!(job.signal(libc::SIGTERM), Err(JobError::Ended)));
        // A process closes its pipes a moment before it is dead.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(job.end_tree(Descendants::Kill).await.expect("it ends"), Left::None);
    });
}

#[test]
fn the_limit_of_open_files_is_the_one_that_was_asked_for() {
    let bare = std::process::Command::new("sh").arg0("sh").args(["-c", "ulimit -n"]).output().expect("it runs");
    with_pool(async |pool| {
        assert_eq!(run(&pool, &shell("ulimit -n")).await.stdout, bare.stdout);
        let supervisors = unglue_host::process::SupervisorCommand::from_test("process::supervisor").open_files(321);
        let pool = Supervisors::new(supervisors, Default::default()).expect("supervisors start");
        assert_eq!(run(&pool, &shell("ulimit -n")).await.text(), "321\n");
    });
}

fn make_executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

#[test]
fn a_process_that_the_system_refuses_is_not_the_programs_fault() {
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: the limit of processes does not bind root (an ordinary user's run of these tests has it)");
        return;
    }
    with_pool(async |pool| {
        let (mut job, _pipes) = pool.spawn(&command(["sleep", "0.3"])).await.expect("it starts");
        let supervisor = rustix::process::Pid::from_raw(parent(job.pid() as i32)).expect("its supervisor");
        job.exited().await.expect("it ends");
        job.end_tree(Descendants::Kill).await.expect("nothing is left");
        drop(job);
        let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
        rustix::process::prlimit(Some(supervisor), rustix::process::Resource::Nproc, none).expect("it is ours");
        // The supervisor that was used last is used first.
        let error = pool.spawn(&command(["true"])).await.expect_err("no process");
        assert!(matches!(error, SpawnError::System { .. }) && error.errno() == Some(libc::EAGAIN), "{error:?}");
        assert!(error.to_string().contains("forking the command's process"), "{error}");
    });
}
