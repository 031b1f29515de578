//! `unglue completions` and `unglue man`: made from the same structures that read the command line.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::args::manual::{CompletionsArgs, ManArgs};
use crate::args::{CommandLine, described};
use crate::complaint::Complaint;
use crate::standard;

/// Prints a shell's completions.
///
/// # Errors
/// Standard output can't be written.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<ExitCode, Complaint> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut described(), "unglue", &mut script);
    standard::print(&script).map(|()| ExitCode::SUCCESS)
}

/// Prints the manual page, or writes one for each command.
///
/// # Errors
/// The pages can't be written.
pub(crate) fn man(args: &ManArgs) -> Result<ExitCode, Complaint> {
    let mut command = CommandLine::command().disable_help_subcommand(true);
    command.build();
    match &args.directory {
        Some(directory) => {
            let failed = |error: io::Error| {
                Complaint::new(format!("pages can't be written to {}: {error}", directory.display()))
            };
            std::fs::create_dir_all(directory).map_err(failed)?;
            pages(&command, directory).map_err(failed)?;
        }
        None => {
            let page = page(&command);
            standard::print(page.map_err(|error| Complaint::new(format!("the page could not be made: {error}")))?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of a command, and those of the commands below it.
fn pages(command: &clap::Command, directory: &Path) -> io::Result<()> {
    command.get_subcommands().try_for_each(|below| pages(below, directory))?;
    let name = Man::new(command.clone()).get_filename();
    std::fs::write(directory.join(name), page(command)?)
}

/// A page in roff (man(7)). What follows the options keeps its lines: examples are to be copied.
fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let text = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    sections(&text, &mut page)?;
    Ok(page)
}

/// Writes the text as sections: a line that ends in a colon and isn't indented begins one.
fn sections(text: &str, page: &mut impl Write) -> io::Result<()> {
    let mut lines = text.trim_end().lines().peekable();
    while lines.peek().is_some() {
        let heading = lines.next_if(|line| is_heading(line)).unwrap_or("Notes:");
        writeln!(page, ".SH \"{}\"\n.nf", heading.trim_end_matches(':').to_uppercase())?;
        while let Some(line) = lines.next_if(|line| !is_heading(line)) {
            // A paragraph behind an example has no heading of its own; it is set apart by the empty line before it.
            writeln!(page, "{}", verbatim(line))?;
        }
        writeln!(page, ".fi")?;
    }
    Ok(())
}

fn is_heading(line: &str) -> bool {
    line.ends_with(':') && !line.starts_with(' ') && line.len() < 40
}

/// A line of text that roff takes for nothing else (groff(7), "Escapes").
fn verbatim(line: &str) -> String {
    let escaped = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
    let escaped = escaped.replace('"', "\\(dq").replace('^', "\\(ha").replace('~', "\\(ti");
    match escaped.starts_with('.') {
        true => format!("\\&{escaped}"),
        false => escaped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_keep_their_lines() {
        let mut page = Vec::new();
        sections("Examples:\n  unglue exec h -c 'a\\n'\n.dot\n\nExit status:\n  0\n", &mut page).expect("a vector");
        let page = String::from_utf8(page).expect("text");
        let expected = ".SH \"EXAMPLES\"\n.nf\n  unglue exec h \\-c \\(aqa\\en\\(aq\n\\&.dot\n\n.fi\n\
                        .SH \"EXIT STATUS\"\n.nf\n  0\n.fi\n";
        assert_eq!(page, expected);
    }
}
