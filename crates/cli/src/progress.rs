//! A transfer's progress, on a terminal.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use unglue::Progress;

use crate::complaint::printable;

/// The name, then what has moved, how fast, and how long it will take.
const UNDER_WAY: &str = "{wide_msg} {bytes:>10}/{total_bytes:<10} [{bar:24}] {binary_bytes_per_sec:>12} {eta:>4}";
/// The name and what has moved, once it is there.
const DONE: &str = "{wide_msg} {total_bytes:>10} {binary_bytes_per_sec:>12}  done";

/// A bar on standard error; nothing where that is no terminal.
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar with a file's name.
    pub(crate) fn of(name: &str) -> Bar {
        if !std::io::stderr().is_terminal() {
            return Bar(None);
        }
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_message(printable(name));
        Bar(Some(styled(bar, UNDER_WAY)))
    }

    /// What tells the bar how far it is. It never goes backwards, and grows if the file did.
    pub(crate) fn listener(&self) -> Option<Progress> {
        let bar = self.0.clone()?;
        let mut reached = 0;
        Some(Box::new(move |done, total| {
            reached = done.max(reached);
            bar.set_length(total.max(reached));
            bar.set_position(reached);
        }))
    }

    /// The file is there.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.0 {
            styled(bar, DONE).finish();
            // It leaves the cursor behind itself. There is nowhere to complain about a closed stderr.
            let _ = writeln!(std::io::stderr());
        }
    }

    /// It is not: the bar makes room for the reason.
    pub(crate) fn clear(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_well_formed() {
        assert!(ProgressStyle::with_template(UNDER_WAY).is_ok() && ProgressStyle::with_template(DONE).is_ok());
    }

    #[test]
    fn a_bar_never_goes_backwards() {
        let bar = Bar(Some(ProgressBar::hidden()));
        let mut listener = bar.listener().expect("a listener");
        [(5, 10), (3, 10), (12, 10)].into_iter().for_each(|(done, total)| listener(done, total));
        let bar = bar.0.expect("a bar");
        assert_eq!((bar.position(), bar.length()), (12, Some(12)));
    }
}
