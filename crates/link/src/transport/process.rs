//! The input and output of a child process as one connection: an `ssh` client, or `unglue serve --stdio` itself.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;
use tokio::time::{Instant, Sleep, sleep};

use super::room::widen;

/// How long a process that has closed its output may take to exit.
const EXIT: Duration = Duration::from_secs(1);
/// How often its end is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(2);
/// How long a process whose input has ended may take to exit, before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// A child process that carries a link: what is written goes to its standard input, and what is read comes from its standard
/// output. It authenticates both ends by itself, as `ssh` does.
///
/// A process that fails is an error of the connection: it has the name of the process and its exit status. Dropped, it closes
/// both pipes; a process that goes on for ten seconds after that is killed. If this process ends before that, the child
/// is left to itself.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
/// use unglue_link::ChildProcess;
///
/// let mut process = ChildProcess::spawn(std::process::Command::new("cat"))?;
/// process.write_all(b"hello").await?;
/// let mut back = [0; 5];
/// process.read_exact(&mut back).await?;
/// assert_eq!(&back, b"hello");
/// # Ok::<(), std::io::Error>(()) }).unwrap();
/// ```
pub struct ChildProcess {
    name: String,
    input: Option<pipe::Sender>,
    output: pipe::Receiver,
    child: Option<Child>,
    status: Option<ExitStatus>,
    /// Set once the output has ended and the process has not: when to stop waiting for that.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl ChildProcess {
    /// Starts it. Its standard error stays as `command` has it: by default, that of this process. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// The program isn't there, or the system refuses.
    pub fn spawn(mut command: Command) -> io::Result<ChildProcess> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = pipes else { return Err(io::Error::other("the child has no pipes")) };
        widen(&input);
        widen(&output);
        let input = Some(pipe::Sender::from_owned_fd(OwnedFd::from(input))?);
        let output = pipe::Receiver::from_owned_fd(OwnedFd::from(output))?;
        Ok(ChildProcess { name, input, output, child: Some(child), status: None, waiting: None })
    }

    /// Its process id.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// How it ended, once reading has come to its end.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// Its output has ended: that is an error if the process has failed.
    fn poll_exit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Some(child) = self.child.as_mut() else { return Poll::Ready(Ok(())) };
            if let Some(status) = child.try_wait()? {
                (self.child, self.status) = (None, Some(status));
                return Poll::Ready(match status.success() {
                    true => Ok(()),
                    false => Err(failed(&self.name, status)),
                });
            }
            let (until, timer) = self.waiting.get_or_insert_with(|| (Instant::now() + EXIT, Box::pin(sleep(LOOK))));
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= *until {
                return Poll::Ready(Ok(()));
            }
            timer.as_mut().reset(Instant::now() + LOOK);
        }
    }
}

fn failed(name: &str, status: ExitStatus) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, format!("{name} ended with {status}"))
}

impl AsyncRead for ChildProcess {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.output).poll_read(cx, buffer))?;
        match buffer.filled().len() > before || buffer.remaining() == 0 {
            true => Poll::Ready(Ok(())),
            false => self.poll_exit(cx),
        }
    }
}

impl AsyncWrite for ChildProcess {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Some(input) = this.input.as_mut() else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        match ready!(Pin::new(input).poll_write(cx, bytes)) {
            // Why it stopped reading is shown by how it ends.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                ready!(this.poll_exit(cx))?;
                Poll::Ready(Err(error))
            }
            written => Poll::Ready(written),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Some(input) = this.input.as_mut() else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        match ready!(Pin::new(input).poll_write_vectored(cx, pieces)) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                ready!(this.poll_exit(cx))?;
                Poll::Ready(Err(error))
            }
            written => Poll::Ready(written),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input = None;
        Poll::Ready(Ok(()))
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.input = None;
        let Some(mut child) = self.child.take() else { return };
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        // Without a thread it is left to itself.
        let _ = std::thread::Builder::new().name("unglue-child".into()).spawn(move || end(&mut child));
    }
}

/// Waits until it ends, and ends it if it doesn't.
fn end(child: &mut Child) {
    let since = std::time::Instant::now();
    let mut pause = LOOK;
    while matches!(child.try_wait(), Ok(None)) {
        if since.elapsed() >= GRACE {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    fn shell(text: &str) -> ChildProcess {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        ChildProcess::spawn(command).expect("a shell")
    }

    #[tokio::test]
    async fn bytes_go_both_ways_and_the_end_is_seen() {
        let mut process = shell("cat; echo done");
        process.write_all(b"in ").await.expect("written");
        process.shutdown().await.expect("closed");
        let mut text = String::new();
        process.read_to_string(&mut text).await.expect("read");
        assert_eq!(text, "in done\n");
        assert!(process.write_all(b"x").await.is_err(), "its input is closed");
    }

    #[tokio::test]
    async fn a_process_that_fails_is_named_with_its_status() {
        let mut process = shell("exec 0<&-; echo out; exit 255");
        let mut text = Vec::new();
        let error = process.read_to_end(&mut text).await.expect_err("it failed");
        assert_eq!(text, b"out\n");
        assert_eq!(error.to_string(), "sh ended with exit status: 255");

        let mut process = shell("exec 0<&-; exit 7");
        let error = loop {
            // As much as the pipe takes before the process is there.
            match process.write_all(&[0; 4096]).await {
                Ok(()) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), "sh ended with exit status: 7");
    }

    #[tokio::test]
    async fn a_process_that_closes_its_output_and_lives_is_at_its_end() {
        let mut process = shell("exec 1>&-; exec sleep 60");
        let started = Instant::now();
        assert_eq!(process.read_to_end(&mut Vec::new()).await.expect("an end"), 0);
        assert!(started.elapsed() < Duration::from_secs(20));
        let mut child = process.child.take().expect("it lives");
        child.kill().expect("killed");
        child.wait().expect("ended");
    }

    #[tokio::test]
    async fn a_program_that_is_missing_is_an_error() {
        assert!(ChildProcess::spawn(Command::new("/nonexistent/ssh")).is_err());
    }
}
