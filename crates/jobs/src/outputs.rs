//! Both outputs of a command, moved at the same time.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::net::unix::pipe;
use unglue_host::process::{LastCall, OutputPump, OutputSink, Pumped};
use unglue_proto::life::Output;
use unglue_proto::message::exec::StreamReport;

type Moving = Pin<Box<dyn Future<Output = (OutputPump, Pumped)> + Send>>;

/// The outputs: those that are moved, and what became of those that have ended.
pub(crate) struct Outputs {
    last_call: LastCall,
    moving: [Option<Moving>; 2],
    ended: [Option<StreamReport>; 2],
    /// The pipes that are still held open; see [`OutputPump::run`].
    held: Vec<OutputPump>,
}

impl Outputs {
    pub(crate) fn new<O: OutputSink + 'static>(pipes: (pipe::Receiver, pipe::Receiver), sinks: (O, O)) -> Outputs {
        let last_call = LastCall::new();
        let start = |pipe, sink| -> Option<Moving> {
            let mut pump = OutputPump::new(pipe, &last_call);
            Some(Box::pin(async move {
                let pumped = pump.run(sink).await;
                (pump, pumped)
            }))
        };
        let moving = [start(pipes.0, sinks.0), start(pipes.1, sinks.1)];
        Outputs { last_call, moving, ended: [None, None], held: Vec::new() }
    }

    /// Waits until one of them ends; for ever, if both have. Cancelling it loses nothing.
    pub(crate) async fn next(&mut self) -> (Output, Option<std::io::Error>) {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Output, Option<std::io::Error>)> {
        for output in [Output::Stdout, Output::Stderr] {
            let slot = &mut self.moving[output as usize];
            let Some(moving) = slot else { continue };
            if let Poll::Ready((pump, pumped)) = moving.as_mut().poll(cx) {
                *slot = None;
                self.held.push(pump);
                self.ended[output as usize] = Some(pumped.stream);
                return Poll::Ready((output, pumped.failure));
            }
        }
        Poll::Pending
    }

    /// What the pipes hold now is the last of them. Returns once both outputs have seen whether a writer is left; gives those
    /// that have ended by then.
    pub(crate) async fn last_call(&mut self) -> Vec<(Output, Option<std::io::Error>)> {
        self.last_call.announce();
        let mut ended = Vec::new();
        poll_fn(|cx| {
            while let Poll::Ready(end) = self.poll_next(cx) {
                ended.push(end);
            }
            Poll::Ready(())
        })
        .await;
        ended
    }

    /// Stops moving them: nobody wants them any more. Gives those that had not ended.
    pub(crate) fn abandon(&mut self) -> Vec<Output> {
        let unfinished = |output: &Output| self.moving[*output as usize].is_some();
        let unfinished = [Output::Stdout, Output::Stderr].into_iter().filter(unfinished).collect();
        self.moving = [None, None];
        unfinished
    }

    /// What became of them.
    pub(crate) fn into_streams(self) -> (Option<StreamReport>, Option<StreamReport>) {
        self.ended.into()
    }
}
