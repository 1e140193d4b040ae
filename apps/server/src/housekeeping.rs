//! Forgets, every so often, callers who have not asked for a while. The gateway looks after its own tables.

use crate::http::App;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(30);

/// Goes on until the handle is dropped.
pub(crate) fn start(app: &Arc<App>) -> AbortOnDropHandle<()> {
    let app = Arc::clone(app);
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            app.clock.sleep(EVERY).await;
            for limiter in [&app.inbound, &app.native.web, &app.native.new_chats] {
                limiter.forget_idle();
            }
        }
    }))
}
