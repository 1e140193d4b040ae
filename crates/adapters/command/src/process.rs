//! A program that runs while its answer is read.

use crate::decode::Decoder;
use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use openclaw_ai_fabric::ModelError;
use openclaw_core::ModelEvent;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::VecDeque;
use std::pin::Pin;
use std::process::ExitStatus;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdout};

/// How much is read at once, in bytes.
const READ_BYTES: usize = 8 * 1024;
/// How much of the end of standard error is kept, in bytes.
const KEPT_COMPLAINT_BYTES: usize = 2 * 1024;

/// A running program and what it has said. Dropping it kills the program with its process group.
pub(crate) struct Running {
    group: Group,
    /// Writes the request and closes the program's input. A program that does not read it is let be.
    writing: Option<BoxFuture<'static, ()>>,
    output: Option<ChildStdout>,
    complaints: Option<ChildStderr>,
    /// The last of what was written to standard error.
    complaint: VecDeque<u8>,
    decoder: Decoder,
    over: bool,
}

/// The program as the leader of its process group.
struct Group(Child);

// === impl Group ===

impl Drop for Group {
    fn drop(&mut self) {
        // There is an id as long as the program was not waited for, so it cannot be another's.
        let id = self
            .0
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(id) = id
            && let Err(error) = kill_process_group(id, Signal::KILL)
        {
            tracing::debug!(%error, "a program's process group could not be killed");
        }
    }
}

// === impl Running ===

impl Running {
    /// Takes a program that was started as the leader of a group, with all three streams piped.
    pub(crate) fn new(mut child: Child, request: Vec<u8>, decoder: Decoder) -> Self {
        let writing = child.stdin.take().map(|mut input| -> BoxFuture<'static, ()> {
            Box::pin(async move {
                // Failure means that the program reads no more; what it thinks of that its exit status tells.
                if let Err(error) = input.write_all(&request).await {
                    tracing::debug!(%error, "a program did not read its request");
                }
                input.shutdown().await.ok();
            })
        });
        Self {
            writing,
            output: child.stdout.take(),
            complaints: child.stderr.take(),
            complaint: VecDeque::new(),
            group: Group(child),
            decoder,
            over: false,
        }
    }

    fn poll_writing(&mut self, context: &mut Context<'_>) {
        if let Some(writing) = &mut self.writing
            && writing.as_mut().poll(context).is_ready()
        {
            self.writing = None;
        }
    }

    /// Standard error is read so that the program is never held up by it.
    fn poll_complaints(&mut self, context: &mut Context<'_>) {
        while let Some(stream) = &mut self.complaints {
            match poll_read(stream, context) {
                Poll::Ready(Some(bytes)) => {
                    self.complaint.extend(bytes);
                    let surplus = self.complaint.len().saturating_sub(KEPT_COMPLAINT_BYTES);
                    self.complaint.drain(..surplus);
                }
                Poll::Ready(None) => self.complaints = None,
                Poll::Pending => return,
            }
        }
    }

    /// How the program ended, once its output had.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<ModelEvent, ModelError>> {
        let status = {
            let waiting = std::pin::pin!(self.group.0.wait());
            ready!(waiting.poll(context))
        };
        let status = match status {
            Ok(status) if status.success() => {
                return Poll::Ready(Ok(ModelEvent::Stop(self.decoder.stop_reason())));
            }
            Ok(status) => status,
            Err(error) => {
                let message = format!("the program's end is unknown: {}", error.kind());
                return Poll::Ready(Err(ModelError::InStream { message }));
            }
        };
        let (front, back) = self.complaint.as_slices();
        let complaint = [front, back].concat();
        tracing::debug!(%status, complaint = %String::from_utf8_lossy(&complaint), "a program failed");
        Poll::Ready(Err(ModelError::InStream {
            message: how_it_ended(status),
        }))
    }
}

impl Stream for Running {
    type Item = Result<ModelEvent, ModelError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        this.poll_writing(context);
        this.poll_complaints(context);
        loop {
            match this.decoder.next() {
                Ok(Some(event)) => return Poll::Ready(Some(Ok(event))),
                Ok(None) => {}
                Err(error) => {
                    this.over = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
            match &mut this.output {
                Some(output) => match ready!(poll_read(output, context)) {
                    Some(bytes) => this.decoder.push(bytes),
                    None => {
                        this.output = None;
                        this.decoder.finish();
                    }
                },
                None => {
                    let end = ready!(this.poll_end(context));
                    this.over = true;
                    return Poll::Ready(Some(end));
                }
            }
        }
    }
}

/// The next bytes; `None` at the end, and when reading fails, which is the end as well.
fn poll_read<R: AsyncRead + Unpin>(stream: &mut R, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
    let mut space = [0; READ_BYTES];
    let mut buffer = ReadBuf::new(&mut space);
    Poll::Ready(match ready!(Pin::new(stream).poll_read(context, &mut buffer)) {
        Ok(()) if !buffer.filled().is_empty() => Some(Bytes::copy_from_slice(buffer.filled())),
        Ok(()) | Err(_) => None,
    })
}

fn how_it_ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the program ended with exit code {code}"),
        (None, Some(signal)) => format!("the program was ended by signal {signal}"),
        (None, None) => "the program did not end well".to_owned(),
    }
}
