//! What grows with the number of tenants, readers and sessions, around one server of its own. Prints one line of JSON;
//! memory is the server's resident set in MiB.
//!
//! `tenants` opens chats of the native API in the data directory it is given, a tenant each, and stops the server: what
//! the next start finds there. `streams` opens a chat for each of so many readers and holds all their event streams
//! open. `sessions` lets so many people write once each, a session each, and looks at the memory after everything has
//! rested.

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use openclaw_bench::process;
use openclaw_bench::statistics::rounded;
use openclaw_bench::world::World;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Requests on their way at once.
const IN_FLIGHT: usize = 64;
/// No measurement hangs longer than this without progress.
const LIMIT: Duration = Duration::from_secs(60);
/// Seconds of rest after the first turn, at most: there is little to rest from.
const REST_BEFORE: f64 = 10.0;
/// The first person's number.
const FIRST_PERSON: i64 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Tenants,
    Streams,
    Sessions,
}

/// Fills a server and prints what that costs it.
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
    /// How many tenants, streams or sessions.
    #[arg(long)]
    count: usize,
    /// The data directory to fill; a new one that goes with the server when it is not named.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Seconds of rest before memory is looked at.
    #[arg(long, default_value_t = 10.0)]
    rest: f64,
    /// Seconds of rest after that, before memory is looked at once more: until the connections to models and messengers
    /// are closed as well, which are kept for a while in case they are needed again. Sessions only.
    #[arg(long, default_value_t = 0.0)]
    longer: f64,
}

async fn world(options: &Options) -> Result<World> {
    World::start(&options.server, options.processor, |setup| {
        let setup = match &options.data {
            Some(data) => setup.data_dir(data),
            None => setup,
        };
        setup
            .env("OPENAI_MODEL", "mock-c2")
            .env("OPENCLAW__CONCURRENCY__MAX_WORKERS", "256")
    })
    .await
}

/// Opens chats of the native API, `IN_FLIGHT` at once, and does something with each.
async fn open_chats<F>(
    world: &World,
    count: usize,
    then: impl Fn(openclaw_testkit::HttpClient, String) -> F + Clone + Send + 'static,
) -> Result<Vec<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let client = world.server.http()?.with_bearer(&world.server.api_key()?)?;
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..IN_FLIGHT.min(count) {
        let (client, next, then) = (client.clone(), Arc::clone(&next), then.clone());
        tasks.spawn(async move {
            let mut opened = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < count {
                let reply = client.post("/api/v1/chats").json(&json!({})).send().await?;
                ensure!(reply.status.is_success(), "a chat was answered {}", reply.status);
                let chat = reply.json()?["chatId"].as_str().context("no chatId")?.to_owned();
                opened.push(then(client.clone(), chat).await);
            }
            anyhow::Ok(opened)
        });
    }
    let mut opened = Vec::with_capacity(count);
    while let Some(done) = tasks.join_next().await {
        opened.extend(done??);
    }
    Ok(opened)
}

async fn tenants(options: &Options, mut world: World) -> Result<Value> {
    let began = Instant::now();
    let opened = open_chats(&world, options.count, |_client, _chat| async {}).await?;
    let took = began.elapsed();
    world.server.terminate(LIMIT).await?;
    Ok(json!({
        "mode": "tenants", "count": opened.len(),
        "per_second": rounded(opened.len() as f64 / took.as_secs_f64(), 10.0),
    }))
}

async fn streams(options: &Options, world: &World) -> Result<Value> {
    let idle = world.resident_mib()?;
    let readers = open_chats(world, options.count, |client, chat| async move {
        let path = format!("/api/v1/chats/{chat}/events");
        let reader = client.get(&path).within(LIMIT).stream().await?;
        ensure!(
            reader.status.is_success(),
            "a reader was answered {}",
            reader.status
        );
        Ok(reader)
    })
    .await?;
    let readers = readers.into_iter().collect::<Result<Vec<_>>>()?;
    tokio::time::sleep(Duration::from_secs_f64(options.rest)).await;
    let open = readers.len();
    let result = json!({
        "mode": "streams", "count": open, "idle_mib": rounded(idle, 10.0),
        "resident_mib": rounded(world.resident_mib()?, 10.0),
    });
    drop(readers);
    Ok(result)
}

async fn sessions(options: &Options, world: &Arc<World>) -> Result<Value> {
    // A first turn, so that what is set up once is not taken for growth.
    say(world, 0..1).await?;
    tokio::time::sleep(Duration::from_secs_f64(options.rest.min(REST_BEFORE))).await;
    let idle = world.resident_mib()?;
    let before = process::cpu(world.pid()?)?;
    let began = Instant::now();
    say(world, 1..options.count + 1).await?;
    let (took, cpu) = (began.elapsed(), world.cpu_since(before)?);
    let full = world.resident_mib()?;
    tokio::time::sleep(Duration::from_secs_f64(options.rest)).await;
    let rested = world.resident_mib()?;
    tokio::time::sleep(Duration::from_secs_f64(options.longer)).await;
    Ok(json!({
        "mode": "sessions", "count": options.count,
        "per_second": rounded(options.count as f64 / took.as_secs_f64(), 10.0),
        "cpu_ms": rounded(cpu.as_secs_f64() * 1e3 / options.count as f64, 10_000.0),
        "idle_mib": rounded(idle, 10.0), "full_mib": rounded(full, 10.0),
        "resident_mib": rounded(rested, 10.0), "quiet_mib": rounded(world.resident_mib()?, 10.0),
    }))
}

/// One message of each of these people, `IN_FLIGHT` on their way at once, until all are answered.
async fn say(world: &Arc<World>, people: std::ops::Range<usize>) -> Result<()> {
    let (already, _) = world.shown();
    let count = people.len();
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    let next = Arc::new(AtomicUsize::new(people.start));
    let mut posters = JoinSet::new();
    for _ in 0..IN_FLIGHT.min(count) {
        let (world, room, next, end) = (
            Arc::clone(world),
            Arc::clone(&room),
            Arc::clone(&next),
            people.end,
        );
        posters.spawn(async move {
            let mut poster = world.poster().await?;
            loop {
                let person = next.fetch_add(1, Ordering::Relaxed);
                if person >= end {
                    return anyhow::Ok(());
                }
                // Given back when the turn's message is seen.
                room.acquire().await?.forget();
                let chat = i64::try_from(person)? + FIRST_PERSON;
                let update = world.telegram.private_text(chat, "say something");
                poster.post(update.to_string().into_bytes()).await?;
            }
        });
    }
    let mut answered = 0;
    let mut progress = Instant::now();
    while answered < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let seen = usize::try_from(world.shown().0 - already)?;
        if seen > answered {
            room.add_permits(seen - answered);
            (answered, progress) = (seen, Instant::now());
        }
        if progress.elapsed() > LIMIT {
            bail!("{answered} of {count} answered, and no more");
        }
    }
    while let Some(poster) = posters.join_next().await {
        poster??;
    }
    Ok(())
}

/// As many open files as this process may have: a socket for each stream.
fn raise_descriptors(wanted: usize) -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("the limit of open files cannot be raised")?;
    if let Some(most) = limit.maximum {
        ensure!(
            most >= wanted as u64 + 512,
            "{wanted} streams need {} open files and the machine allows {most}; see `ulimit -Hn`",
            wanted + 512
        );
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the result is the program's output")]
async fn main() -> Result<()> {
    let options = Options::parse();
    if options.mode == Mode::Streams {
        // Before the server is started, which inherits it.
        raise_descriptors(options.count)?;
    }
    let world = world(&options).await?;
    let result = match options.mode {
        Mode::Tenants => tenants(&options, world).await?,
        Mode::Streams => {
            let result = streams(&options, &world).await;
            result.with_context(|| format!("the server's log: {}", world.server.log()))?
        }
        Mode::Sessions => {
            let world = Arc::new(world);
            let result = sessions(&options, &world).await;
            result.with_context(|| format!("the server's log: {}", world.server.log()))?
        }
    };
    println!("{result}");
    Ok(())
}
