//! A program on a terminal of the server, between its streams, the user's terminal, and this process's signals.

use std::io;
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout};
use unglue::{Client, Code, Fault, LinkState, Outcome, Output, Running, StreamError, TerminalSize};

use super::escape::{Escapes, Order, Step, help};
use super::input::{End, Typing};
use super::keyboard::Keyboard;
use super::leaving::{Tie, Why};
use super::liveness::{Due, Liveness};
use super::notices::{Notice, Notices};
use super::status;
use super::terminal::Raw;
use super::view::View;
use crate::complaint::{Complaint, say};
use crate::exec::verdict::verdict;
use crate::signals::{Signals, Wish};

/// Bytes of output that are shown at once.
const PIECE: usize = 64 * 1024;
/// How long the output must pause before the emulation catches up.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a terminal that is to be painted anew has another size: long enough for the program to notice.
const OTHER_SIZE: Duration = Duration::from_millis(60);
/// How long a client that leaves waits for the program's end.
const PARTING: Duration = Duration::from_secs(3);
/// How long a stop of this process may take to happen.
const STOP: Duration = Duration::from_millis(300);

/// Everything about a program on a terminal.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) running: Running,
    pub(super) tie: Tie,
    pub(super) keyboard: Option<Keyboard>,
    pub(super) view: View,
    pub(super) escapes: Escapes,
    pub(super) signals: Signals,
    pub(super) notices: Notices,
    /// Present where standard input is a terminal.
    pub(super) raw: Option<Raw>,
    pub(super) state: State,
}

/// What changes in the course of it.
#[derive(Default)]
pub(super) struct State {
    output: Option<Output>,
    typing: Option<Typing>,
    link: Option<watch::Receiver<LinkState>>,
    liveness: Liveness,
    /// A sign of life that the server was asked for.
    asking: Option<Asking>,
    /// The terminal's size, where the server doesn't know it yet.
    resized: Option<TerminalSize>,
    /// The size that it gets back.
    restored: Option<(Instant, TerminalSize)>,
    exited: bool,
    /// When the output has paused for long enough.
    rest: Option<Instant>,
}

type Asking = Pin<Box<dyn Future<Output = Result<Duration, Fault>> + Send>>;

/// What happens next.
enum Event {
    Wish(Wish),
    Keys(io::Result<Option<Bytes>>),
    Output(Result<Option<Bytes>, StreamError>),
    Shown(io::Result<()>),
    Exited,
    Answer(Result<Duration, Fault>),
    Link(LinkState),
    Notice(Notice),
    Clock,
}

/// How the program and this client part.
enum Parting {
    /// Its output has ended.
    Ended,
    /// The client leaves.
    Leaving(Why),
    /// The client can't go on.
    Broken(Complaint),
}

impl Session {
    /// Carries keys and output until the program has ended or the client leaves; gives the exit code.
    ///
    /// # Errors
    /// Everything but the program's own end.
    pub(super) async fn run(mut self) -> Result<u8, Complaint> {
        self.state.output = self.running.stdout.take();
        self.state.link = self.running.link_state();
        if let Some(input) = self.running.stdin.take() {
            self.state.typing = Some(Typing::start(input));
        }
        let parting = loop {
            let event = self.next().await;
            if let Some(parting) = self.handle(event).await {
                break parting;
            }
        };
        match parting {
            Parting::Ended => self.conclude().await,
            Parting::Leaving(why) => self.leave(why).await,
            Parting::Broken(complaint) => Err(complaint),
        }
    }

    async fn next(&mut self) -> Event {
        let deadline = self.deadline();
        let Session { running, keyboard, view, signals, notices, state, .. } = self;
        let State { output, typing, link, asking, resized, exited, .. } = state;
        let busy = view.is_busy();
        // Keys before output: a flood must not hold up Ctrl-C.
        tokio::select! {
            biased;
            wish = signals.next() => Event::Wish(wish),
            keys = keys(keyboard, typing.as_ref()) => Event::Keys(keys),
            notice = notices.next() => Event::Notice(notice),
            written = view.screen.write(), if busy => Event::Shown(written),
            data = read(output), if !busy => Event::Output(data),
            state = changed(link) => Event::Link(state),
            answer = answered(asking) => Event::Answer(answer),
            () = told_and_exited(running, resized), if !*exited => Event::Exited,
            () = clock(deadline) => Event::Clock,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let State { liveness, rest, restored, .. } = &self.state;
        let all = [liveness.deadline(), self.view.deadline(), *rest, restored.map(|(at, _)| at)];
        all.into_iter().flatten().min()
    }

    async fn handle(&mut self, event: Event) -> Option<Parting> {
        match event {
            Event::Wish(Wish::End(1)) => return Some(Parting::Leaving(Why::Closed)),
            Event::Wish(wish) => return Some(Parting::Leaving(Why::Ended(wish.signal()))),
            Event::Keys(Ok(Some(keys))) => return self.typed(&keys).await,
            Event::Keys(Ok(None)) => return self.keyboard_ended().await,
            Event::Keys(Err(error)) => return Some(Parting::Broken(self.unreadable(&error))),
            Event::Output(Ok(Some(data))) => self.show(&data),
            // The end, or the link's; the outcome says which.
            Event::Output(Ok(None)) => {
                self.raw.iter_mut().for_each(Raw::ended);
                return Some(Parting::Ended);
            }
            Event::Output(Err(_)) => return Some(Parting::Ended),
            Event::Shown(Ok(())) => {}
            Event::Shown(Err(error)) if self.raw.is_some() && is_hangup(&error) => {
                return Some(Parting::Leaving(Why::Closed));
            }
            Event::Shown(Err(error)) => return Some(Parting::Broken(self.unwritable(&error))),
            Event::Exited => self.state.exited = true,
            Event::Answer(Ok(round_trip)) => self.alive(Some(round_trip)),
            // The state of the link says more.
            Event::Answer(Err(_)) => {}
            Event::Link(LinkState::Lost(since, why)) => self.state.liveness.lost(since, &why.what),
            Event::Link(_) => {
                if self.state.liveness.up() {
                    self.view.tell_no_more();
                }
            }
            Event::Notice(Notice::Resized) => self.resize(),
            Event::Notice(Notice::Continued) => self.continued(),
            Event::Clock => self.clock().await,
        }
        None
    }

    fn show(&mut self, data: &Bytes) {
        let now = Instant::now();
        self.alive(None);
        self.view.output(data, now);
        self.state.rest = self.view.lags().then(|| now + PAUSE);
    }

    fn alive(&mut self, round_trip: Option<Duration>) {
        self.state.asking = None;
        if self.state.liveness.alive(round_trip) {
            self.view.tell_no_more();
        }
    }

    async fn typed(&mut self, keys: &[u8]) -> Option<Parting> {
        for step in self.escapes.take(keys) {
            match step {
                // Nothing is typed to what is only watched; Ctrl-C ends the watching.
                Step::Send(keys) if self.tie.only_watches => {
                    if keys.contains(&3) {
                        return Some(Parting::Leaving(Why::Watched));
                    }
                }
                Step::Send(keys) => {
                    let now = Instant::now();
                    self.state.liveness.typed(now);
                    if self.state.liveness.is_well() {
                        self.view.typed(&keys, now);
                    }
                    if let Some(typing) = &self.state.typing {
                        typing.send(keys);
                    }
                }
                Step::Do(Order::Leave) => return Some(Parting::Leaving(Why::Left)),
                Step::Do(Order::Detach) => match self.tie.undetachable() {
                    Some(why) => self.view.print(&format!("unglue: {why}")),
                    None => return Some(Parting::Leaving(Why::Detached)),
                },
                Step::Do(Order::Help) => self.view.print(&help(self.escapes.key().unwrap_or(b'~'))),
                Step::Do(Order::Suspend) => self.suspend().await,
            }
        }
        None
    }

    /// The window was closed, or everything was typed that is to be.
    async fn keyboard_ended(&mut self) -> Option<Parting> {
        self.keyboard = None;
        if self.raw.is_some() {
            return Some(Parting::Leaving(Why::Closed));
        }
        if let Some(typing) = self.state.typing.take() {
            typing.end(End::Finished).await;
        }
        None
    }

    fn resize(&mut self) {
        if let Some(size) = Notices::size() {
            self.view.resize((size.rows, size.columns));
            (self.state.resized, self.state.restored) = (Some(size), None);
        }
    }

    /// Has the program paint its screen anew: it gets another size, and then the right one.
    fn repaint(&mut self) {
        if let Some(size) = Notices::size() {
            self.view.resize((size.rows, size.columns));
            let rows = if size.rows > 2 { size.rows - 1 } else { size.rows + 1 };
            self.state.resized = Some(TerminalSize::new(rows, size.columns));
            self.state.restored = Some((Instant::now() + OTHER_SIZE, size));
        }
    }

    /// Stops this process as Ctrl-Z stops others, and goes on when it is continued.
    async fn suspend(&mut self) {
        let Some(raw) = &self.raw else { return };
        self.view.clear();
        // A terminal that takes nothing must not prevent it.
        let _ = timeout(STOP, self.view.screen.write()).await;
        raw.suspend();
        say(&format!("suspended; fg continues it, and {}", self.tie.life()));
        // What had come before counts for nothing.
        self.notices.forget_continued();
        // Refused where no shell could continue it: then it just goes on.
        let _ = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
        tokio::select! {
            () = self.notices.continued() => {}
            () = sleep(STOP) => {}
        }
        if let Some(raw) = &self.raw {
            // A terminal that is gone ends the session by itself.
            let _ = raw.resume();
        }
        self.repaint();
    }

    /// This process was stopped from outside, and goes on.
    fn continued(&mut self) {
        if let Some(raw) = &self.raw {
            let _ = raw.again();
            self.repaint();
        }
    }

    async fn clock(&mut self) {
        let now = Instant::now();
        self.view.expire(now);
        if self.state.rest.take_if(|rest| *rest <= now).is_some() {
            self.view.rest();
        }
        if let Some((_, size)) = self.state.restored.take_if(|(at, _)| *at <= now) {
            self.state.resized = Some(size);
        }
        while let Some(due) = self.state.liveness.due(now) {
            match due {
                Due::Ask => {
                    let client = self.client.clone();
                    self.state.asking = Some(Box::pin(async move { client.ping().await }));
                }
                Due::Tell => {
                    let (silence, why) = self.state.liveness.silence(now);
                    let text = status::text(&self.tie.host, silence, why, self.escapes.key());
                    self.view.tell(&text);
                }
                // A program that ends with its link can't go on over another one.
                Due::Renew if self.state.link.is_some() => self.client.renew_link().await,
                Due::Renew => {}
            }
        }
    }

    /// The output has ended: shows what is left, and waits for the outcome.
    async fn conclude(mut self) -> Result<u8, Complaint> {
        if let Some(typing) = self.state.typing.take() {
            // The program reads no more; if it lives on without this client, its input stays open.
            typing.end(End::LeftOpen).await;
        }
        let Session { running, view, signals, raw, tie, .. } = &mut self;
        view.clear();
        tokio::select! {
            biased;
            outcome = async {
                // What can't be shown is lost with the terminal.
                let _ = view.screen.write().await;
                running.outcome().await.outcome
            } => {
                drop(raw.take());
                self.verdict(&outcome).await
            }
            wish = signals.next() => {
                drop(raw.take());
                Err(tie.last_line(Why::Ended(wish.signal()), false))
            }
        }
    }

    async fn verdict(self, outcome: &Outcome) -> Result<u8, Complaint> {
        let Session { view, tie, .. } = self;
        let shown = view.screen.finish().await;
        match outcome {
            Outcome::LinkLost(fault) => {
                let why = Fault { advice: String::new(), ..fault.clone() };
                Err(Complaint::new(format!("{why}; {}", tie.life())))
            }
            Outcome::Cancelled(fault) if fault.code == Code::Held => {
                let advice = format!("take it back with: {} --take", tie.come_back());
                Err(Complaint::new(format!("another client has taken the program over; {advice}")))
            }
            outcome => {
                let code = verdict(outcome)?;
                let lost =
                    |error| Complaint::new(format!("not all that the program printed could be written: {error}"));
                shown.map(|()| code).map_err(lost)
            }
        }
    }

    /// The client leaves.
    async fn leave(mut self, why: Why) -> Result<u8, Complaint> {
        self.view.clear();
        let _ = timeout(STOP, self.view.screen.write()).await;
        drop(self.raw.take());
        let ends = self.tie.ends(why);
        if let Some(typing) = self.state.typing.take() {
            typing.end(if ends { End::HungUp } else { End::LeftOpen }).await;
        }
        // Nothing more is shown.
        self.state.output = None;
        let is_dead = !self.state.liveness.is_well();
        let ended = ends && !is_dead && timeout(PARTING, self.running.outcome()).await.is_ok();
        if !ends {
            self.running.detach();
        }
        Err(self.tie.last_line(why, ended))
    }

    fn unreadable(&self, error: &io::Error) -> Complaint {
        Complaint::new(format!("standard input could not be read: {error}; {}", self.tie.life()))
    }

    fn unwritable(&self, error: &io::Error) -> Complaint {
        Complaint::new(format!("standard output could not be written: {error}; {}", self.tie.life()))
    }
}

/// What a terminal says whose window was closed.
fn is_hangup(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

async fn keys(keyboard: &mut Option<Keyboard>, typing: Option<&Typing>) -> io::Result<Option<Bytes>> {
    let Some(keyboard) = keyboard else { return std::future::pending().await };
    if let Some(typing) = typing {
        typing.room().await;
    }
    keyboard.read().await
}

async fn read(output: &mut Option<Output>) -> Result<Option<Bytes>, StreamError> {
    match output {
        Some(output) => output.read(PIECE).await,
        None => Ok(None),
    }
}

async fn changed(link: &mut Option<watch::Receiver<LinkState>>) -> LinkState {
    if let Some(state) = link
        && state.changed().await.is_ok()
    {
        return state.borrow_and_update().clone();
    }
    // The outcome says that there will be no more.
    std::future::pending().await
}

async fn answered(asking: &mut Option<Asking>) -> Result<Duration, Fault> {
    let Some(ask) = asking else { return std::future::pending().await };
    let answer = ask.await;
    *asking = None;
    answer
}

/// Tells the server the terminal's size, and waits for the program's end. Cancelling it loses nothing.
async fn told_and_exited(running: &mut Running, resized: &mut Option<TerminalSize>) {
    if let Some(size) = *resized {
        // After a lost link, the next one gets the last size.
        let _ = running.resize(size).await;
        *resized = None;
    }
    running.exited().await;
}

async fn clock(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
