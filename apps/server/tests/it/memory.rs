//! That the server gives memory back: the allocator in the binary, and what it was built to do.

use crate::cli::{check, run_with};

/// The settings stand in `.cargo/config.toml`, which a build from elsewhere would not see.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[tokio::test]
async fn the_allocator_is_the_one_that_was_measured() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run_with(dir.path(), &["--version"], &[("MALLOC_CONF", "stats_print:true")]).await;
    check(
        &ran,
        0,
        &[
            "jemalloc",
            "opt.tcache_max: 512\n",
            "opt.tcache_nslots_small_max: 20\n",
            "opt.background_thread: true",
            "opt.dirty_decay_ms: 1000 ",
            "opt.muzzy_decay_ms: 0 ",
        ],
    );
}
