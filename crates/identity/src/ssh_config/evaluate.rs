//! Which lines count for a server: `Host`, `Match` and `Include`, in the order of the files.

use super::line::{Line, arguments, conditions};
use super::tokens::{Tokens, with_home};
use super::values::Values;
use super::{Asked, ConfigError, Files, read};
use crate::pattern::{Match, match_list, wildcard_matches};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How deep files may include each other, as in ssh.
const MAX_DEPTH: usize = 16;

/// Evaluates the files; once more where a `Match final` is in them.
pub(super) fn evaluate(files: &Files, asked: &Asked) -> Result<Values, ConfigError> {
    let mut pass = Pass { asked, values: Values::default(), last: false, wants_last: false };
    pass.files(files)?;
    if pass.wants_last {
        pass.values.host_name = Some(pass.values.host(asked)?.replace('%', "%%"));
        pass.last = true;
        pass.files(files)?;
    }
    Ok(pass.values)
}

/// One reading of all files.
struct Pass<'a> {
    asked: &'a Asked,
    values: Values,
    last: bool,
    wants_last: bool,
}

/// Where a line stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a Path,
    /// Against which relative includes are resolved.
    base: &'a Path,
    must_be_safe: bool,
    depth: usize,
    /// Whether its lines can count at all.
    reachable: bool,
}

impl Pass<'_> {
    fn files(&mut self, files: &Files) -> Result<(), ConfigError> {
        let own = self.asked.home.as_ref().map(|home| home.join(".ssh")).unwrap_or_default();
        let system = Path::new("/etc/ssh");
        for (path, base, must_be_safe) in
            [(&files.user, own.as_path(), true), (&files.named, own.as_path(), false), (&files.system, system, false)]
        {
            let Some(path) = path else { continue };
            let place = Place { path, base, must_be_safe, depth: 0, reachable: true };
            self.file(place)?;
        }
        Ok(())
    }

    fn file(&mut self, place: Place<'_>) -> Result<(), ConfigError> {
        let Some(text) = read(place.path, place.must_be_safe)? else { return Ok(()) };
        let mut active = place.reachable;
        for (number, text) in (1..).zip(text.lines()) {
            let Some(line) = Line::split(text) else { continue };
            self.line(place, &line, &mut active).map_err(|error| match error {
                Wrong::Here(what) => ConfigError::Line { path: place.path.to_owned(), line: number, what },
                Wrong::Elsewhere(error) => error,
            })?;
        }
        Ok(())
    }

    fn line(&mut self, place: Place<'_>, line: &Line<'_>, active: &mut bool) -> Result<(), Wrong> {
        if line.rest.is_empty() {
            return Err(Wrong::Here(format!("the keyword {:?} has no argument", line.keyword)));
        }
        if line.keyword == "match" {
            *active = self.matches(line.rest, place.reachable)?;
            return Ok(());
        }
        let words = arguments(line.rest).ok_or_else(|| Wrong::Here("a quotation mark is not closed".to_owned()))?;
        match line.keyword.as_str() {
            "host" => *active = place.reachable && self.is_host(&words)?,
            "include" => {
                for pattern in &words {
                    self.include(place, pattern, *active)?;
                }
            }
            keyword => self.values.apply(keyword, words, *active)?,
        }
        Ok(())
    }

    /// Whether a pattern matches the host that was typed, and no negated one.
    fn is_host(&self, patterns: &[String]) -> Result<bool, String> {
        let mut matched = false;
        for pattern in patterns {
            if pattern.is_empty() {
                return Err("it has an empty argument".to_owned());
            }
            let (negated, pattern) = pattern.strip_prefix('!').map_or((false, pattern.as_str()), |rest| (true, rest));
            if wildcard_matches(pattern.as_bytes(), self.asked.host.as_bytes()) {
                if negated {
                    return Ok(false);
                }
                matched = true;
            }
        }
        Ok(matched)
    }

    fn matches(&mut self, text: &str, reachable: bool) -> Result<bool, Wrong> {
        let words = conditions(text).ok_or_else(|| Wrong::Here("a quotation mark is not closed".to_owned()))?;
        let host = self.values.host(self.asked)?;
        let mut words = words.into_iter();
        let mut result = reachable;
        let mut any = false;
        while let Some(word) = words.next() {
            any = true;
            let (negated, name) = word.strip_prefix('!').map_or((false, word.as_str()), |rest| (true, rest));
            let name = name.to_ascii_lowercase();
            let met = match name.as_str() {
                "all" => true,
                "canonical" => self.last,
                "final" => {
                    self.wants_last = true;
                    self.last
                }
                _ => {
                    let missing = || format!("the condition {name:?} has no argument");
                    let value = words.next().filter(|value| !value.is_empty()).ok_or_else(missing)?;
                    self.condition(&name, &value, &host, result)?
                }
            };
            result &= met != negated;
        }
        if any { Ok(result) } else { Err(Wrong::Here("it has no condition".to_owned())) }
    }

    /// A condition with a value. A command runs only if all conditions before it are met.
    fn condition(&self, name: &str, value: &str, host: &str, so_far: bool) -> Result<bool, Wrong> {
        let asked = self.asked;
        let user = asked.user.as_ref().or(self.values.user.as_ref()).unwrap_or(&asked.local_user);
        let listed = |name: &str| match_list(value.as_bytes(), name.as_bytes()) == Match::Yes;
        let names = |host: &str| {
            let (list, host) = (value.to_ascii_lowercase(), host.to_ascii_lowercase());
            match_list(list.as_bytes(), host.as_bytes()) == Match::Yes
        };
        match name {
            "host" => Ok(names(host)),
            "originalhost" => Ok(names(&asked.host)),
            "user" => Ok(listed(user)),
            "localuser" => Ok(listed(&asked.local_user)),
            "exec" if !so_far => Ok(false),
            "exec" => {
                let (port, alias) = (self.values.port.unwrap_or(22), self.values.host_key_alias.as_deref());
                let tokens = Tokens { asked, host, user, port, alias };
                let command = tokens.expand(value, false).map_err(|what| format!("the command {value:?} {what}"))?;
                Ok(succeeds(&command)?)
            }
            // Conditions of other versions of ssh are about what doesn't exist here.
            "localnetwork" | "tagged" | "version" | "sessiontype" | "command" => Ok(false),
            _ => Err(Wrong::Here(format!("the condition {name:?} is not known"))),
        }
    }

    fn include(&mut self, place: Place<'_>, pattern: &str, active: bool) -> Result<(), Wrong> {
        if pattern.is_empty() {
            return Err(Wrong::Here("it has an empty argument".to_owned()));
        }
        if place.depth + 1 >= MAX_DEPTH {
            return Err(Wrong::Here("files include each other more than 16 deep".to_owned()));
        }
        let path = PathBuf::from(with_home(pattern, self.asked));
        let path = if path.is_absolute() { path } else { place.base.join(path) };
        for path in glob(&path) {
            let place = Place { path: &path, depth: place.depth + 1, reachable: active, ..place };
            self.file(place).map_err(Wrong::Elsewhere)?;
        }
        Ok(())
    }
}

/// What is wrong: with this line, or with a file that it includes.
enum Wrong {
    Here(String),
    Elsewhere(ConfigError),
}

impl From<String> for Wrong {
    fn from(what: String) -> Self {
        Self::Here(what)
    }
}

impl From<ConfigError> for Wrong {
    fn from(error: ConfigError) -> Self {
        Self::Elsewhere(error)
    }
}

/// Runs a command in the user's shell, as ssh does, and says whether it succeeded.
fn succeeds(command: &str) -> Result<bool, String> {
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let run = Command::new(&shell).arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::null()).status();
    run.map(|status| status.success()).map_err(|error| format!("the command {command:?} could not be run: {error}"))
}

/// The files that a pattern matches, sorted, as glob(3) gives them: wildcards match no dot at the start of a name.
fn glob(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let name = part.as_os_str().to_string_lossy();
        if !name.contains(['*', '?']) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let matching = |directory: &PathBuf| {
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            let names = entries.map(|entry| entry.file_name()).filter(|entry| {
                let entry = entry.to_string_lossy();
                (!entry.starts_with('.') || name.starts_with('.'))
                    && wildcard_matches(name.as_bytes(), entry.as_bytes())
            });
            let mut paths: Vec<PathBuf> = names.map(|name| directory.join(name)).collect();
            paths.sort();
            paths
        };
        found = found.iter().flat_map(matching).collect();
    }
    found
}
