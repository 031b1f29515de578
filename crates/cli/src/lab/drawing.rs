//! How a scene's report looks. Colours are left out where standard output is no terminal.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use unglue_lab::scenes::{Bar, Fact, SceneReport};

use super::{columns, ruler};
use crate::complaint::printable;

const TITLE: Style = Style::new().bold();
const HEADING: Style = AnsiColor::Cyan.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const FAINT: Style = Style::new().dimmed();
/// The longest bar, in characters.
const LONGEST: f64 = 40.0;
/// Where lines of text are broken.
const WIDTH: usize = 96;

/// Draws a report.
///
/// # Errors
/// The screen's.
pub(super) fn draw(report: &SceneReport, screen: &mut impl Write) -> io::Result<()> {
    writeln!(screen, "{TITLE}{}: {}{TITLE:#}\n", report.scene, report.title)?;
    for line in columns::lines(&report.calls) {
        writeln!(screen, "  {}", printable(&line))?;
    }
    for flow in &report.flows {
        writeln!(screen, "\n  {HEADING}{} to {}{HEADING:#}", flow.from, flow.to)?;
        for line in ruler::lines(flow) {
            writeln!(screen, "    {}", printable(&line))?;
        }
    }
    bars(&report.bars, screen)?;
    writeln!(screen)?;
    for claim in &report.claims {
        let (style, mark) = if claim.holds { (GOOD, "✓") } else { (BAD, "✗ not so:") };
        writeln!(screen, "  {style}{mark}{style:#} {}", claim.says)?;
    }
    measured(&report.measured, screen)?;
    paragraph("Why:  ", report.why, screen)?;
    paragraph("Fix:  ", report.fix, screen)
}

fn bars(bars: &[Bar], screen: &mut impl Write) -> io::Result<()> {
    if bars.is_empty() {
        return Ok(());
    }
    writeln!(screen)?;
    let most = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    let width = bars.iter().map(|bar| bar.name.len()).max().unwrap_or(0);
    for Bar { name, value, unit } in bars {
        let drawn = "█".repeat((value * (LONGEST / most).min(1.0)).round().max(0.0) as usize);
        writeln!(screen, "  {name:width$}  {HEADING}{drawn}{HEADING:#} {}", format!("{value} {unit}").trim_end())?;
    }
    Ok(())
}

fn measured(facts: &[Fact], screen: &mut impl Write) -> io::Result<()> {
    if facts.is_empty() {
        return Ok(());
    }
    let facts: Vec<String> = facts.iter().map(|fact| format!("{} {}", fact.name, fact.value)).collect();
    writeln!(screen, "  {FAINT}measured in this run: {}{FAINT:#}", facts.join(", "))
}

/// A text below its label, broken into lines.
fn paragraph(label: &str, text: &str, screen: &mut impl Write) -> io::Result<()> {
    let mut line = String::from(label);
    writeln!(screen)?;
    for word in text.split_whitespace() {
        if line.chars().count() + word.chars().count() >= WIDTH {
            writeln!(screen, "  {}", line.trim_end())?;
            line = " ".repeat(label.len());
        }
        line.push_str(word);
        line.push(' ');
    }
    writeln!(screen, "  {}", line.trim_end())
}
