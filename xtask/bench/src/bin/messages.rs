//! Webhook load: a fake Telegram and a mock provider around one server of its own. Prints one line of JSON; times are
//! in ms.
//!
//! `turns` drives whole turns: an update is posted, the model answers at once, and the turn is over when its message
//! stands in the chat. Every chat is looked at in the end: a message that is missing, or reads otherwise than the model
//! said, has failed.
//!
//! `acknowledge` holds the model, so that nothing but accepting happens once the one worker waits: every connection
//! posts back to back, and a time is from the post to the 200 that follows the commit.
//!
//! `chats` opens a thousand chats of the native API, each with somebody who reads its events, writes to all of them at
//! once and waits until every answer of a model that thinks for two seconds has ended.

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use openclaw_bench::process;
use openclaw_bench::statistics::{Times, rounded};
use openclaw_bench::world::World;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// People who write, in turn: histories grow, and none has two messages on the way.
const PEOPLE: usize = 1_024;
/// Pieces of the model's answer.
const PIECES: usize = 16;
/// Chats of the native API that are written to at once.
const CHATS: usize = 1_000;
/// When nothing has changed for so long, nothing more comes.
const QUIET: Duration = Duration::from_millis(400);
/// No measurement hangs longer than this after its time.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Turns,
    Acknowledge,
    Chats,
}

/// Posts Telegram updates to a server and prints what they cost.
#[derive(Debug, Parser)]
struct Options {
    /// The server's program.
    #[arg(long)]
    server: PathBuf,
    /// What is measured.
    #[arg(long, value_enum)]
    mode: Mode,
    /// The processor the server is bound to; needs `taskset`.
    #[arg(long)]
    processor: Option<usize>,
    /// Seconds measured.
    #[arg(long, default_value_t = 8.0)]
    secs: f64,
    /// Seconds before that, not measured.
    #[arg(long, default_value_t = 1.0)]
    warm: f64,
    /// Updates on their way at once.
    #[arg(long, default_value_t = 64)]
    in_flight: usize,
}

/// Starts the world for what is measured.
async fn world(options: &Options) -> Result<World> {
    let workers = match options.mode {
        Mode::Turns => "256",
        Mode::Acknowledge => "1",
        Mode::Chats => "1024",
    };
    World::start(&options.server, options.processor, |setup| {
        let setup = setup
            .env("OPENCLAW__CONCURRENCY__MIN_WORKERS", "1")
            .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", workers);
        match options.mode {
            Mode::Turns | Mode::Acknowledge => setup.env("OPENAI_MODEL", format!("mock-c{PIECES}")),
            Mode::Chats => setup
                .env("OPENAI_MODEL", format!("mock-c{PIECES}-t2000"))
                .env("OPENCLAW__CONCURRENCY__MAX_QUEUE_SIZE", "4096"),
        }
    })
    .await
}

fn person(turn: usize) -> i64 {
    i64::try_from(turn % PEOPLE).unwrap_or(0) + 1_000
}

async fn turns(options: &Options, world: Arc<World>) -> Result<Value> {
    ensure!(
        options.in_flight <= PEOPLE / 2,
        "too many at once for {PEOPLE} people"
    );
    let warm = drive(options.warm, options.in_flight, &world, 0).await?;
    let before = process::cpu(world.pid()?)?;
    let run = drive(options.secs, options.in_flight, &world, warm.posted).await?;
    let cpu = world.cpu_since(before)?;
    let posted = run.posted - warm.posted;
    ensure!(posted > 0, "nothing was posted");
    let expected = "lorem ipsum ".repeat(PIECES / 2);
    let failed = world.telegram.with_state(|state| {
        let right = (0..PEOPLE)
            .flat_map(|turn| state.chat(person(turn)).texts())
            .filter(|text| text.trim_end() == expected.trim_end());
        run.posted.abs_diff(right.count())
    });
    let (sent, changed) = world.shown();
    Ok(json!({
        "mode": "turns", "count": posted, "failed": failed,
        "per_second": rounded(posted as f64 / run.wall.as_secs_f64(), 10.0),
        "cpu_ms": rounded(cpu.as_secs_f64() * 1e3 / posted as f64, 10_000.0),
        "cores": rounded(cpu.as_secs_f64() / run.wall.as_secs_f64(), 100.0),
        "calls_per_turn": rounded(changed as f64 / sent.max(1) as f64, 100.0),
        "resident_mib": rounded(world.resident_mib()?, 10.0),
    }))
}

/// How a stretch of turns went.
struct Driven {
    /// Updates posted since the very first.
    posted: usize,
    /// From the first post to the last change of a chat.
    wall: Duration,
}

/// Posts for `secs`, `in_flight` at once, and waits until the last of them is answered.
async fn drive(secs: f64, in_flight: usize, world: &Arc<World>, already: usize) -> Result<Driven> {
    let room = Arc::new(Semaphore::new(in_flight));
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(secs);
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(already));
    let mut posters = JoinSet::new();
    for _ in 0..in_flight {
        let (world, room, next) = (Arc::clone(world), Arc::clone(&room), Arc::clone(&next));
        posters.spawn(async move {
            let mut poster = world.poster().await?;
            loop {
                // What is ready is ready also when its time is over.
                let room = tokio::time::timeout_at(end.into(), room.acquire()).await;
                let Some(permit) = room.ok().and_then(Result::ok).filter(|_| Instant::now() < end) else {
                    return anyhow::Ok(());
                };
                // Given back when the turn's message is seen.
                permit.forget();
                let turn = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let update = world.telegram.private_text(person(turn), "say something");
                poster.post(update.to_string().into_bytes()).await?;
            }
        });
    }
    let (mut finished, mut changes) = world.shown();
    let mut last_change = start;
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let (sent, changed) = world.shown();
        room.add_permits(usize::try_from(sent - finished).unwrap_or(0));
        finished = sent;
        let now = Instant::now();
        if changed != changes {
            (changes, last_change) = (changed, now);
        }
        if now > end && now - last_change > QUIET {
            break;
        }
        if now > end + LIMIT {
            bail!("turns do not come to an end");
        }
    }
    room.close();
    while let Some(poster) = posters.join_next().await {
        poster??;
    }
    Ok(Driven {
        posted: next.load(std::sync::atomic::Ordering::Relaxed),
        wall: last_change - start,
    })
}

async fn acknowledge(options: &Options, world: Arc<World>) -> Result<Value> {
    let _held = world.provider.hold();
    let start = Instant::now();
    let measured_from = start + Duration::from_secs_f64(options.warm);
    let end = measured_from + Duration::from_secs_f64(options.secs);
    let mut posters = JoinSet::new();
    for first in 0..options.in_flight {
        let (world, step) = (Arc::clone(&world), options.in_flight);
        posters.spawn(async move {
            let mut poster = world.poster().await?;
            let mut times = Vec::new();
            let mut turn = first;
            loop {
                let update = world.telegram.private_text(person(turn), "say something");
                let update = update.to_string().into_bytes();
                turn += step;
                let began = Instant::now();
                if began >= end {
                    return anyhow::Ok(times);
                }
                poster.post(update).await?;
                if began >= measured_from {
                    times.push(began.elapsed().as_secs_f64() * 1e3);
                }
            }
        });
    }
    tokio::time::sleep_until(measured_from.into()).await;
    let before = process::cpu(world.pid()?)?;
    let mut times = Vec::new();
    while let Some(poster) = posters.join_next().await {
        times.extend(poster??);
    }
    let cpu = world.cpu_since(before)?;
    let count = times.len();
    let times = Times::new(times);
    Ok(json!({
        "mode": "acknowledge", "count": count, "failed": 0,
        "per_second": rounded(count as f64 / options.secs, 10.0),
        "cpu_ms": rounded(cpu.as_secs_f64() * 1e3 / count.max(1) as f64, 10_000.0),
        "p50": times.percentile(0.5), "p99": times.percentile(0.99), "max": times.percentile(1.0),
        "resident_mib": rounded(world.resident_mib()?, 10.0),
    }))
}

async fn chats(world: Arc<World>) -> Result<Value> {
    let client = world.server.http()?.with_bearer(&world.server.api_key()?)?;
    let mut open = Vec::new();
    for _ in 0..CHATS {
        let reply = client.post("/api/v1/chats").json(&json!({})).send().await?;
        let chat = reply.json()?["chatId"].as_str().context("no chatId")?.to_owned();
        let path = format!("/api/v1/chats/{chat}/events");
        let events = client.get(&path).within(LIMIT).stream().await?;
        open.push((format!("/api/v1/chats/{chat}/messages"), events));
    }
    let before = process::cpu(world.pid()?)?;
    let began = Instant::now();
    let mut answers = JoinSet::new();
    for (path, mut events) in open {
        let client = client.clone();
        answers.spawn(async move {
            let reply = client.post(&path).json(&json!({"text": "hello"})).send().await?;
            ensure!(reply.status == 202, "a message was answered {}", reply.status);
            while let Some(event) = events.next_event().await? {
                if event.event == "turn.finished" {
                    return Ok(());
                }
            }
            bail!("a chat's events ended before its answer")
        });
    }
    while let Some(answer) = answers.join_next().await {
        answer??;
    }
    let wall = began.elapsed();
    Ok(json!({
        "mode": "chats", "count": CHATS, "failed": 0, "secs": rounded(wall.as_secs_f64(), 1_000.0),
        "cpu_ms": rounded(world.cpu_since(before)?.as_secs_f64() * 1e3 / CHATS as f64, 1_000.0),
        "resident_mib": rounded(world.resident_mib()?, 10.0),
    }))
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the result is the program's output")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let world = Arc::new(world(&options).await?);
    let result = match options.mode {
        Mode::Turns => turns(&options, Arc::clone(&world)).await,
        Mode::Acknowledge => acknowledge(&options, Arc::clone(&world)).await,
        Mode::Chats => chats(Arc::clone(&world)).await,
    };
    let result = result.with_context(|| format!("the server's log: {}", world.server.log()))?;
    println!("{result}");
    Ok(())
}
