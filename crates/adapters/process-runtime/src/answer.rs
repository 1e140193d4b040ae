//! What a handler has of its worker's child process: questions go in, answers come out as model events.

use crate::frame::WorkerRequest;
use futures::Stream;
use openclaw_core::ModelEvent;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// The child process of the worker a handler runs on. Its use ends with the handler.
#[derive(Debug)]
pub struct ChildWorker {
    questions: mpsc::Sender<Question>,
}

/// The child's answer to one question: [`ModelEvent::TextDelta`]s and tool calls as they come, at the end
/// [`ModelEvent::Usage`], if the child told it, and [`ModelEvent::Stop`]; or one [`WorkerRefusal`].
///
/// The answer is read as fast as this stream is polled; a child that is faster waits in its pipe. Dropping the stream
/// before its end cancels the question: the child is told, and replaced if it does not stop within
/// [`ProcessConfig::cancel_grace`](crate::ProcessConfig::cancel_grace).
///
/// A child that exits, writes garbage or breaks a limit ends no answer: the handler is dropped where it waits, and the
/// pool answers the request with its own error.
#[derive(Debug)]
pub struct Answer {
    events: mpsc::Receiver<Result<ModelEvent, WorkerRefusal>>,
}

/// The child says that it cannot answer. It lives on and may be asked again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the worker refused: {code}: {message}")]
pub struct WorkerRefusal {
    /// The child's own name for what went wrong, such as `rate_limited`.
    pub code: String,
    /// The child's words, for the log and for API callers. Never shown in chats.
    pub message: String,
    /// Whether the child thinks that asking again may help.
    pub recoverable: bool,
}

/// A question on its way to the child.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) request: WorkerRequest,
    pub(crate) events: mpsc::Sender<Result<ModelEvent, WorkerRefusal>>,
}

/// Events a handler has not taken yet. Beyond it the child is not read.
const EVENTS: usize = 32;

// === impl ChildWorker ===

impl ChildWorker {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Question>) {
        let (questions, asked) = mpsc::channel(1);
        (Self { questions }, asked)
    }

    /// Another hand on the same child, for whoever asks in the handler's name.
    pub(crate) fn share(&self) -> Self {
        Self {
            questions: self.questions.clone(),
        }
    }

    /// Asks the child. One question at a time: an earlier answer that has not ended is cancelled first.
    pub async fn ask(&mut self, request: WorkerRequest) -> Answer {
        let (sender, events) = mpsc::channel(EVENTS);
        let question = Question {
            request,
            events: sender,
        };
        if let Err(mpsc::error::SendError(question)) = self.questions.send(question).await {
            // Only possible from a task that outlived its handler.
            let gone = WorkerRefusal {
                code: "worker_gone".to_owned(),
                message: "the run this worker belonged to has ended".to_owned(),
                recoverable: false,
            };
            drop(question.events.try_send(Err(gone)));
        }
        Answer { events }
    }
}

// === impl Answer ===

impl Stream for Answer {
    type Item = Result<ModelEvent, WorkerRefusal>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_recv(context)
    }
}
