//! What child processes write: lines of the worker protocol, the same however cut.

#![no_main]

use futures::executor::block_on;
use libfuzzer_sys::fuzz_target;
use openclaw_fuzz::{Cut, Pipe};
use openclaw_process_runtime::fuzzing::read;

fuzz_target!(|data: &[u8]| {
    let cut = Cut::read(data);
    for longest in [48, 1 << 20] {
        let whole = block_on(read(Pipe::new(Box::new(cut.whole())), longest));
        let pieces = block_on(read(Pipe::new(Box::new(cut.pieces())), longest));
        assert_eq!(pieces, whole);
    }
});
