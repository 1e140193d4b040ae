//! What the fuzz targets see of this crate. Compiled for them (`--cfg fuzzing`), and with the tests so that it keeps up.

use crate::frame::Frame;
use crate::lines::Lines;
use tokio::io::AsyncRead;

/// What a child wrote, read to its end: each line as the server understands it or says that it does not, and at the end
/// how many bytes were left, or why reading ended before.
pub async fn read(output: impl AsyncRead + Unpin, longest_line: usize) -> Vec<String> {
    let mut lines = Lines::new(output, longest_line);
    let mut said = Vec::new();
    loop {
        said.push(match lines.next().await {
            Ok(Some(line)) => match Frame::parse(&line) {
                Ok(frame) => format!("{frame:?}"),
                Err(error) => error.reason(),
            },
            Ok(None) => {
                said.push(format!("{} bytes left", lines.remainder()));
                return said;
            }
            Err(error) => {
                said.push(error.to_string());
                return said;
            }
        });
    }
}
