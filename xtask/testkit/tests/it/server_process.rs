//! The harness, tried on shell scripts that behave like servers: it must be right when the server is not.

use openclaw_testkit::ServerSetup;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

fn script(text: &str) -> ServerSetup {
    ServerSetup::new("/bin/sh").args(["-c", text]).ready_within(LIMIT)
}

#[tokio::test]
async fn a_server_that_ends_before_it_is_ready_is_an_error_with_its_last_words() {
    let error = script("echo 'the port is taken' >&2; exit 7")
        .start()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("exit status: 7") && error.contains("the port is taken"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_never_publishes_its_address_is_given_up() {
    let setup = script("echo waiting; exec sleep 60").ready_within(Duration::from_millis(50));
    let error = setup.start().await.unwrap_err().to_string();
    assert!(error.contains("not ready within"), "{error}");
}

#[tokio::test]
async fn the_developers_environment_stays_outside() {
    let (status, log) = script("env; echo data >\"$OPENCLAW_DATA_DIR/api.key\"")
        .env("ONLY_THIS", "first")
        .env("ONLY_THIS", "second")
        .run_to_end()
        .await
        .unwrap();
    assert!(status.success());
    assert!(
        log.contains("ONLY_THIS=second") && log.contains("PORT=0"),
        "{log}"
    );
    assert!(!log.contains("CARGO"), "{log}");
}
