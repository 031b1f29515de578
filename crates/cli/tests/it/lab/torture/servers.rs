//! Servers from Debian, driven by their own clients: nothing is found.

use std::fs;
use std::path::Path;

use super::{has, home, text, torture};

/// Whether all of these are installed; if not, that is told.
fn installed(programs: &[&str]) -> bool {
    let missing: Vec<&&str> = programs.iter().filter(|program| !has(program)).collect();
    if !missing.is_empty() {
        eprintln!("skipped: {missing:?} aren't installed");
    }
    missing.is_empty()
}

/// Fails if something is found.
#[track_caller]
fn passes(home: &Path, server: &str, script: &str) {
    let client = home.join("client.sh");
    fs::write(&client, script).expect("written");
    let client = format!("sh {} {{port}}", client.display());
    let output = torture(home, &["--keep-server", "--runs", "12"], server, &client);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("nothing found in 12 runs"), "{}", text(&output));
}

#[test]
fn redis_passes() {
    if !installed(&["redis-server", "redis-cli"]) {
        return;
    }
    let home = home();
    let commands = "SET a 1\nINCR a\nGET a\nRPUSH l x y z\nLRANGE l 0 -1\nDEL a l\nECHO \"h\u{e9}llo\"\n";
    fs::write(home.path().join("commands"), commands).expect("written");
    let server = "exec redis-server --port {port} --bind 127.0.0.1 --save '' --appendonly no";
    passes(home.path(), server, "redis-cli -p $1 < commands");
}

#[test]
fn memcached_passes() {
    if !installed(&["memcached", "memccp", "memccat"]) {
        return;
    }
    let home = home();
    fs::write(home.path().join("value"), "some lines\r\nof text\n".repeat(50)).expect("written");
    let server = "exec memcached -u nobody -l 127.0.0.1 -p {port} -U 0";
    passes(home.path(), server, "memccp --servers=127.0.0.1:$1 --set value && memccat --servers=127.0.0.1:$1 value");
}

#[test]
fn nginx_passes() {
    if !installed(&["nginx", "curl"]) {
        return;
    }
    let home = home();
    let root = home.path().join("root");
    fs::create_dir(&root).expect("made");
    fs::write(root.join("small"), "hello\n").expect("written");
    fs::write(root.join("large"), "0123456789".repeat(10_000)).expect("written");
    let place = home.path().display();
    let temporary =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {place};"));
    let conf = format!(
        "daemon off; master_process off; pid {place}/pid; error_log stderr;\nevents {{}}\nhttp {{ access_log off; {}\n\
         server {{ listen 127.0.0.1:PORT; root {place}/root; }} }}\n",
        temporary.join(" ")
    );
    fs::write(home.path().join("template"), conf).expect("written");
    let server = format!("sed s/PORT/{{port}}/ template > conf; exec nginx -p {place} -c {place}/conf");
    let paths = "http://127.0.0.1:$1/small http://127.0.0.1:$1/large http://127.0.0.1:$1/none";
    passes(home.path(), &server, &format!("curl -sS {paths}"));
}

#[test]
fn mosquitto_passes() {
    if !installed(&["mosquitto", "mosquitto_pub", "mosquitto_sub"]) {
        return;
    }
    let home = home();
    let script = "mosquitto_pub -p $1 -q 2 -r -t a/b -m 'hello world' && mosquitto_sub -p $1 -t a/b -C 1 -q 2";
    passes(home.path(), "exec mosquitto -p {port}", script);
}

#[test]
fn postgresql_passes() {
    // Debian keeps them out of PATH.
    let found = |name: &str| {
        let found = clean_path(name);
        found.or_else(|| has(name).then(|| name.to_owned()))
    };
    let (Some(initdb), Some(postgres)) = (found("initdb"), found("postgres")) else {
        eprintln!("skipped: PostgreSQL isn't installed");
        return;
    };
    if !installed(&["psql", "setpriv"]) {
        return;
    }
    let home = home();
    let place = home.path().display();
    // It refuses to run as root.
    let user = if rustix::process::geteuid().is_root() { "setpriv --reuid nobody --clear-groups " } else { "" };
    let prepare = format!("mkdir data; [ -z '{user}' ] || chown nobody . data; {user}{initdb} -D data -A trust -U me");
    let made = super::command("sh").args(["-c", &prepare]).current_dir(home.path()).output().expect("it runs");
    assert!(made.status.success(), "{}", text(&made));
    let server = format!(
        "exec {user}{postgres} -D {place}/data -p {{port}} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    );
    let queries = "-c \"select 1, 'na\u{ef}ve'; select generate_series(1, 5)\" -c \"select repeat('x', 30000)\" -c 'select nothing'";
    passes(home.path(), &server, &format!("psql -X -h 127.0.0.1 -p $1 -U me -d postgres -At {queries}"));
}

/// A program of the newest PostgreSQL.
fn clean_path(name: &str) -> Option<String> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let programs = versions.flatten().map(|version| version.path().join("bin").join(name));
    programs.filter(|program| program.exists()).max().map(|program| program.display().to_string())
}
