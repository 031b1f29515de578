//! Whether systemd would kill the commands that are to outlive the server: by the unit that the server runs in
//! (systemd.kill(5), `KillMode=`), or at the logout of its user (logind.conf(5), `KillUserProcesses=`).
//!
//! Only files are read. What they don't show, such as a unit that was started by systemd-run(1), is taken to be right.

use std::fs;
use std::path::{Path, PathBuf};

/// A danger to commands with the leases `keep` and `detach`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Danger {
    /// What would happen.
    pub(crate) why: String,
    /// What to do about it.
    pub(crate) advice: &'static str,
}

/// Looks at the files of this machine.
pub(crate) fn danger() -> Option<Danger> {
    let cgroup = fs::read_to_string("/proc/self/cgroup").ok()?;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let root = rustix::process::geteuid().is_root();
    find(Path::new("/"), home.as_deref(), &cgroup, root)
}

/// `cgroup` is the text of `/proc/self/cgroup` (cgroups(7)); logind spares root unless it is told otherwise.
fn find(machine: &Path, home: Option<&Path>, cgroup: &str, is_root: bool) -> Option<Danger> {
    // The unified hierarchy, or systemd's own one.
    let own = cgroup
        .lines()
        .find_map(|line| line.strip_prefix("0::").or_else(|| line.split_once(":name=systemd:").map(|at| at.1)))?;
    let unit = own.rsplit('/').next()?;
    if unit.starts_with("session-") && unit.ends_with(".scope") {
        let kills = setting(&logind(machine), "KillUserProcesses");
        let kills = kills.is_some_and(|value| ["yes", "true", "on", "1"].contains(&value.as_str()));
        return (kills && !is_root).then(|| Danger {
            why: "the server runs in a login session, and KillUserProcesses=yes in logind.conf: when you log out, systemd kills the \
                  commands that are to outlive it"
                .into(),
            advice: "run it as a service: docs/unglue-user.service, with loginctl enable-linger",
        });
    }
    let files = unit.ends_with(".service").then(|| unit_files(machine, home, unit))?;
    if files.is_empty() {
        return None;
    }
    let mode = setting(&files, "KillMode").unwrap_or_else(|| "control-group".into());
    (mode != "process" && mode != "none").then(|| Danger {
        why: format!(
            "{unit} has KillMode={mode}: when it stops, systemd kills the commands that are to outlive the server"
        ),
        advice: "write KillMode=process into the unit, as docs/unglue.service has it",
    })
}

/// The files that make up logind's configuration; later ones win.
fn logind(machine: &Path) -> Vec<PathBuf> {
    let mut files = vec![machine.join("usr/lib/systemd/logind.conf"), machine.join("etc/systemd/logind.conf")];
    for directory in ["usr/lib/systemd/logind.conf.d", "run/systemd/logind.conf.d", "etc/systemd/logind.conf.d"] {
        files.extend(configuration(&machine.join(directory)));
    }
    files
}

/// The file of a unit, from the first place that has it, and its drop-ins (systemd.unit(5)).
fn unit_files(machine: &Path, home: Option<&Path>, unit: &str) -> Vec<PathBuf> {
    let own = home.map(|home| home.join(".config/systemd/user"));
    let places = ["etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];
    let users = ["etc/systemd/user", "usr/lib/systemd/user"];
    let places: Vec<PathBuf> =
        own.into_iter().chain(places.into_iter().chain(users).map(|place| machine.join(place))).collect();
    let Some(file) = places.iter().map(|place| place.join(unit)).find(|file| file.is_file()) else { return Vec::new() };
    let drop_ins = places.iter().rev().flat_map(|place| configuration(&place.join(format!("{unit}.d"))));
    [file].into_iter().chain(drop_ins).collect()
}

/// The `.conf` files of a directory, in their order.
fn configuration(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "conf")).collect();
    files.sort();
    files
}

/// The last value of a setting.
fn setting(files: &[PathBuf], name: &str) -> Option<String> {
    let texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    let value = |line: &str| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim().to_ascii_lowercase())
    };
    texts.filter_map(|text| text.lines().filter_map(value).next_back()).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let machine = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = machine.path().join(path);
            fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            fs::write(path, text).expect("written");
        }
        machine
    }

    fn why(files: &[(&str, &str)], cgroup: &str, is_root: bool) -> Option<String> {
        let machine = machine(files);
        let home = machine.path().join("home");
        find(machine.path(), Some(&home), cgroup, is_root).map(|danger| danger.why)
    }

    const SERVICE: &str = "0::/system.slice/unglue.service\n";
    const UNIT: &str = "etc/systemd/system/unglue.service";

    #[test]
    fn a_unit_that_kills_what_is_left_is_named() {
        let unit = |text| why(&[(UNIT, text)], SERVICE, false);
        assert!(
            unit("[Service]\nKillMode=mixed\n").is_some_and(|why| why.contains("unglue.service has KillMode=mixed"))
        );
        assert!(unit("[Service]\n").is_some_and(|why| why.contains("KillMode=control-group")), "the default");
        assert_eq!(unit("[Service]\n#KillMode=mixed\nKillMode = process\n"), None);
        assert_eq!(why(&[], SERVICE, false), None, "no file, no statement");
        let drop_in = ("etc/systemd/system/unglue.service.d/kill.conf", "[Service]\nKillMode=process\n");
        assert_eq!(why(&[(UNIT, "[Service]\n"), drop_in], SERVICE, false), None);
        let user = "1:name=systemd:/user.slice/user-1000.slice/user@1000.service/app.slice/u.service\n";
        assert!(why(&[("home/.config/systemd/user/u.service", "[Service]\n")], user, false).is_some());
    }

    #[test]
    fn a_session_that_is_killed_at_logout_is_named() {
        let session = "0::/user.slice/user-1000.slice/session-3.scope\n";
        let logind = "etc/systemd/logind.conf";
        assert!(why(&[(logind, "[Login]\nKillUserProcesses=yes\n")], session, false).is_some());
        assert_eq!(why(&[(logind, "[Login]\nKillUserProcesses=yes\n")], session, true), None, "root is spared");
        assert_eq!(why(&[(logind, "[Login]\n#KillUserProcesses=yes\n")], session, false), None);
        let drop_in = ("etc/systemd/logind.conf.d/a.conf", "[Login]\nKillUserProcesses=yes\n");
        assert!(why(&[(logind, "[Login]\n"), drop_in], session, false).is_some());
        assert_eq!(why(&[(logind, "KillUserProcesses=yes\n")], "0::/\n", false), None, "a container");
    }

    /// Our own units are right.
    #[test]
    fn our_units_let_commands_outlive_the_server() {
        for unit in ["unglue.service", "unglue-user.service"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(unit);
            assert_eq!(setting(&[path], "KillMode").as_deref(), Some("process"), "{unit}");
        }
    }
}
