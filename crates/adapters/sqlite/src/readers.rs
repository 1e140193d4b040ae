//! A few threads that read, each with a connection of its own. They never wait for the writer and it never for them.

use crate::error::OpError;
use crate::health::unavailable;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio::sync::{Semaphore, oneshot};

/// The most reads that wait; more wait for a place.
const MAX_WAITING: usize = 1_024;

type Read = Box<dyn FnOnce(&Connection) + Send>;

pub(crate) struct Readers {
    /// `None` when closed. Held for a send.
    queue: Mutex<Option<mpsc::Sender<Read>>>,
    places: Arc<Semaphore>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

// === impl Readers ===

impl Readers {
    pub(crate) fn start(connections: Vec<Connection>) -> std::io::Result<Self> {
        let (queue, reads) = mpsc::channel::<Read>();
        let reads = Arc::new(Mutex::new(reads));
        let mut threads = Vec::with_capacity(connections.len());
        for connection in connections {
            let reads = Arc::clone(&reads);
            threads.push(
                std::thread::Builder::new()
                    .name("store-reader".into())
                    .spawn(move || serve(&connection, &reads))?,
            );
        }
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            places: Arc::new(Semaphore::new(MAX_WAITING)),
            threads: Mutex::new(threads),
        })
    }

    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, OpError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, OpError> + Send + 'static,
    {
        let closed = || OpError::Store(unavailable("the store is closed"));
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let read: Read = Box::new(move |connection| {
            // Whoever stopped waiting needs no answer.
            if !reply.is_closed() {
                reply.send(work(connection)).ok();
            }
            drop(place);
        });
        self.queue
            .lock()
            .as_ref()
            .and_then(|queue| queue.send(read).ok())
            .ok_or_else(closed)?;
        answer.await.map_err(|_| closed())?
    }

    /// Ends the threads after what waits.
    pub(crate) fn close(&self) {
        self.queue.lock().take();
        for thread in self.threads.lock().drain(..) {
            // A reader that panicked has nothing to hand over.
            thread.join().ok();
        }
    }
}

fn serve(connection: &Connection, reads: &Mutex<mpsc::Receiver<Read>>) {
    loop {
        // The lock is held while waiting: one reader waits for work, the others for their turn to.
        let read = reads.lock().recv();
        match read {
            Ok(read) => read(connection),
            Err(mpsc::RecvError) => return,
        }
    }
}
