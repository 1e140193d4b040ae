//! The harness, tried on shell scripts that behave like servers: it must be right when the server is not.

use openclaw_testkit::ServerSetup;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const LIMIT: Duration = Duration::from_secs(60);

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

/// Answers every connection to a port of its own with 200, as a ready server does.
async fn ready_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _asked = socket.read(&mut [0; 1024]).await;
            let _gone = socket
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await;
        }
    });
    address.to_string()
}

/// Publishes the address it is given, counts its starts, and ends with 3 when asked to.
const SERVER: &str = "trap 'exit 3' TERM; cd \"$OPENCLAW_DATA_DIR\"; echo start >>starts; \
    test -f server.addr && exit 9; printf '%s' \"$ADDRESS\" >server.addr; echo ' key ' >api.key; \
    while :; do sleep 0.01; done";

#[tokio::test]
async fn a_killed_server_starts_again_on_its_data_and_is_found_at_its_new_address() {
    let (first, second) = (ready_address().await, ready_address().await);
    let mut server = script(SERVER).env("ADDRESS", &first).start().await.unwrap();
    assert_eq!(server.address().to_string(), first);
    assert_eq!(server.api_key().unwrap(), "key");
    server.kill().await.unwrap();
    assert_eq!(server.pid(), None);
    // The killed server left its address behind: the next one must not be looked for there.
    server.set_env("ADDRESS", &second);
    server.start_again().await.unwrap();
    assert_eq!(server.address().to_string(), second);
    let starts = std::fs::read_to_string(server.data_dir().join("starts")).unwrap();
    assert_eq!(starts, "start\nstart\n");
}

#[tokio::test]
async fn a_terminated_server_hands_over_its_status_and_a_running_one_is_not_waited_for_for_ever() {
    let mut server = script(SERVER)
        .env("ADDRESS", ready_address().await)
        .start()
        .await
        .unwrap();
    assert!(server.wait(Duration::from_millis(20)).await.is_err());
    assert!(server.pid().is_some(), "it is still running");
    assert_eq!(server.terminate(LIMIT).await.unwrap().code(), Some(3));
    assert!(server.terminate(LIMIT).await.is_err(), "none runs any more");
}

#[tokio::test]
async fn dropping_the_server_kills_it_and_takes_its_directory_along() {
    let server = script(SERVER)
        .env("ADDRESS", ready_address().await)
        .start()
        .await
        .unwrap();
    let data = server.data_dir().to_owned();
    drop(server);
    assert!(!data.exists());
}
