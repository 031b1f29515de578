//! What this end saw of a command's streams, compared with what the server reports of them (promise P2).

use tokio::sync::oneshot;
use unglue_link::StreamError;
use unglue_proto::message::Tally;
use unglue_proto::message::exec::{Outcome, Report, StreamEnd, StreamReport};
use unglue_proto::{Code, Fault};

/// What this end saw of one stream.
#[derive(Debug, Clone)]
pub(super) struct Observed {
    pub(super) tally: Tally,
    pub(super) end: ObservedEnd,
}

/// How a stream ended for this end.
#[derive(Debug, Clone)]
pub(super) enum ObservedEnd {
    /// With its last byte.
    Whole,
    /// The same, and a picture of the terminal came in place of some of it.
    Pictured,
    /// Its owner dropped it.
    Abandoned,
    /// It broke off.
    Cut(StreamError),
}

/// A stream that reports what it saw once it has ended.
#[derive(Debug, Default)]
pub(super) enum Observation {
    /// There is no such stream.
    #[default]
    Absent,
    /// It has not ended.
    Awaited(oneshot::Receiver<Observed>),
    /// It has.
    Made(Observed),
}

/// All three streams of a command.
#[derive(Debug, Default)]
pub(super) struct Observations {
    pub(super) stdin: Observation,
    pub(super) stdout: Observation,
    pub(super) stderr: Observation,
}

impl Observation {
    /// Waits until the stream has ended. Cancelling it loses nothing.
    async fn wait(&mut self) {
        if let Observation::Awaited(observed) = self {
            *self = observed.await.map_or(Observation::Absent, Observation::Made);
        }
    }

    fn get(&self) -> Option<&Observed> {
        match self {
            Observation::Made(observed) => Some(observed),
            Observation::Absent | Observation::Awaited(_) => None,
        }
    }
}

impl Observed {
    fn cut(&self) -> StreamReport {
        StreamReport { tally: self.tally.clone(), end: StreamEnd::Cut }
    }
}

impl Observations {
    /// Waits until both outputs have ended here. Cancelling it loses nothing.
    pub(super) async fn outputs_end(&mut self) {
        self.stdout.wait().await;
        self.stderr.wait().await;
    }

    /// Waits until all streams have ended here. Cancelling it loses nothing.
    pub(super) async fn all_end(&mut self) {
        self.stdin.wait().await;
        self.outputs_end().await;
    }

    /// Compares the server's figures with those of this end, and changes the report where they differ.
    pub(super) fn check(&self, report: &mut Report) {
        let (stdin, stdout, stderr) = (self.stdin.get(), self.stdout.get(), self.stderr.get());
        if matches!(report.outcome, Outcome::LinkLost(_)) {
            report.stdout = report.stdout.take().or(stdout.map(Observed::cut));
            report.stderr = report.stderr.take().or(stderr.map(Observed::cut));
            return;
        }
        if report.stdout.is_none() && report.stderr.is_none() && !matches!(report.outcome, Outcome::Ended(_)) {
            // It never ran, or that isn't known: no figures belong to that.
            return;
        }
        let checks = [
            check_input(report.stdin.as_ref(), stdin),
            check_output("stdout", &mut report.stdout, stdout),
            check_output("stderr", &mut report.stderr, stderr),
        ];
        if let Some(failed) = checks.into_iter().find_map(Result::err) {
            report.outcome = failed;
        }
    }
}

/// Compares the two ends' figures of the input, unless the command did not take all of it.
fn check_input(theirs: Option<&StreamReport>, ours: Option<&Observed>) -> Result<(), Outcome> {
    match (theirs, ours) {
        (Some(theirs), Some(ours)) if theirs.end == StreamEnd::Eof => verify("stdin", theirs, ours),
        _ => Ok(()),
    }
}

/// Compares the two ends' figures of an output, unless its reader dropped it. The report may overtake the last bytes of an
/// output, so the link may still end between the two: a success is no success then.
fn check_output(name: &str, theirs: &mut Option<StreamReport>, ours: Option<&Observed>) -> Result<(), Outcome> {
    let Some(ours) = ours else { return Ok(()) };
    let Some(reported) = theirs else {
        let what = format!("the server reports the end of a command and nothing of its {name}");
        return Err(Outcome::Corrupt(Fault::peer(Code::BadMessage, what)));
    };
    match &ours.end {
        ObservedEnd::Whole if reported.end == StreamEnd::Abandoned => {
            let what = format!("{name} ended here, and the server says that its reader wanted no more of it");
            Err(Outcome::Corrupt(Fault::peer(Code::Mismatch, what)))
        }
        ObservedEnd::Whole => verify(name, reported, ours),
        // What each link carried was compared with what was sent on it.
        ObservedEnd::Pictured => Ok(()),
        ObservedEnd::Abandoned => {
            reported.end = StreamEnd::Abandoned;
            Ok(())
        }
        ObservedEnd::Cut(StreamError::Lost(fault)) => {
            *theirs = Some(ours.cut());
            Err(Outcome::LinkLost(fault.clone().into()))
        }
        // The server could not read the output to its end, and reports it.
        ObservedEnd::Cut(StreamError::Reset(_)) if reported.end == StreamEnd::Cut => Ok(()),
        ObservedEnd::Cut(StreamError::Reset(_)) => {
            let what = format!("{name} broke off after {} of {} bytes", ours.tally.bytes, reported.tally.bytes);
            *theirs = Some(ours.cut());
            Err(Outcome::Corrupt(Fault::peer(Code::Mismatch, what)))
        }
    }
}

fn verify(name: &str, theirs: &StreamReport, ours: &Observed) -> Result<(), Outcome> {
    ours.tally.verify(&theirs.tally, name).map_err(Outcome::Corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use unglue_proto::Meter;

    fn tally(data: &[u8]) -> Tally {
        let mut meter = Meter::default();
        meter.pass(data);
        meter.tally()
    }

    fn made(data: &[u8]) -> Observation {
        Observation::Made(Observed { tally: tally(data), end: ObservedEnd::Whole })
    }

    fn stream(data: &[u8], end: StreamEnd) -> Option<StreamReport> {
        Some(StreamReport { tally: tally(data), end })
    }

    fn checked(observations: &Observations, change: impl FnOnce(&mut Report)) -> Outcome {
        let eof = || stream(b"out", StreamEnd::Eof);
        let mut report = Report { stdin: eof(), stdout: eof(), stderr: eof(), ..Report::of(Outcome::exited(0)) };
        change(&mut report);
        observations.check(&mut report);
        report.outcome
    }

    fn all() -> Observations {
        Observations { stdin: made(b"out"), stdout: made(b"out"), stderr: made(b"out") }
    }

    #[test]
    fn equal_figures_keep_the_outcome() {
        assert_eq!(checked(&all(), |_| ()), Outcome::exited(0));
    }

    #[test]
    fn a_changed_byte_of_any_stream_is_corrupt() {
        let corrupt = |outcome| matches!(outcome, Outcome::Corrupt(fault) if fault.code == Code::Mismatch);
        assert!(corrupt(checked(&all(), |report| report.stdin = stream(b"0ut", StreamEnd::Eof))));
        assert!(corrupt(checked(&all(), |report| report.stdout = stream(b"0ut", StreamEnd::Eof))));
        assert!(corrupt(checked(&all(), |report| report.stderr = stream(b"0ut", StreamEnd::HeldOpen))));
        assert!(corrupt(checked(&all(), |report| report.stdout = stream(b"output", StreamEnd::Eof))));
    }

    #[test]
    fn a_whole_output_is_not_excused_by_a_server_that_calls_it_abandoned() {
        for data in [&b""[..], b"out"] {
            let outcome = checked(&all(), |report| report.stdout = stream(data, StreamEnd::Abandoned));
            assert!(matches!(outcome, Outcome::Corrupt(_)), "{outcome:?}");
        }
    }

    #[test]
    fn an_output_that_broke_off_is_corrupt_unless_the_server_reports_it_cut() {
        let end = ObservedEnd::Cut(StreamError::Reset(Code::System));
        let stdout = Observation::Made(Observed { tally: tally(b"o"), end });
        let observations = Observations { stdout, ..all() };
        let outcome = checked(&observations, |_| ());
        assert!(matches!(outcome, Outcome::Corrupt(_)), "{outcome:?}");
        let outcome = checked(&observations, |report| report.stdout = stream(b"ou", StreamEnd::Cut));
        assert_eq!(outcome, Outcome::exited(0));
    }

    #[test]
    fn an_output_without_figures_is_corrupt() {
        assert!(matches!(checked(&all(), |report| report.stderr = None), Outcome::Corrupt(_)));
    }

    #[test]
    fn an_input_that_the_command_did_not_take_is_not_compared() {
        let outcome = checked(&all(), |report| report.stdin = stream(b"o", StreamEnd::Abandoned));
        assert_eq!(outcome, Outcome::exited(0));
    }
}
