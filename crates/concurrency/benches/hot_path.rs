//! Scheduler, hand-over, session locks and metrics: what every request pays, at three sizes, beside what a user would
//! take instead.
//!
//! `hot_path count --list` names the cases; `hot_path count NAME TIMES` does one so often inside [`counted`], for a
//! tool that counts instructions there. Counts do not drift with the machine's load as times do.

#[path = "hot_path/pool.rs"]
mod pool;
#[path = "hot_path/scheduler.rs"]
mod scheduler;
#[path = "hot_path/session_mutex.rs"]
mod session_mutex;

use criterion::Criterion;

/// Something to measure: prepared once, done many times.
struct Case {
    name: String,
    prepare: Box<dyn Fn() -> Operation>,
}

type Operation = Box<dyn FnMut()>;

impl Case {
    fn new<O: FnMut() + 'static>(name: impl Into<String>, prepare: impl Fn() -> O + 'static) -> Self {
        Self {
            name: name.into(),
            prepare: Box::new(move || Box::new(prepare())),
        }
    }
}

/// The one function whose instructions are counted.
#[inline(never)]
fn counted(times: u64, operation: &mut dyn FnMut()) {
    for _ in 0..times {
        operation();
    }
}

/// The sizes of everything that has one; to see that it runs, which is what `cargo test` does, the first will do.
fn sizes(all: [usize; 3]) -> impl Iterator<Item = usize> {
    let measure = std::env::args().any(|argument| argument == "--bench" || argument == "count");
    all.into_iter().take(if measure { all.len() } else { 1 })
}

fn cases() -> Vec<Case> {
    let mut cases = scheduler::cases();
    cases.extend(session_mutex::cases());
    cases.extend(pool::cases());
    cases
}

#[expect(clippy::print_stdout, reason = "a list that was asked for")]
fn count(arguments: &[String]) {
    match arguments {
        [list] if list == "--list" => cases().iter().for_each(|case| println!("{}", case.name)),
        [name, times] => {
            let times = times.parse().expect("how often");
            let case = cases().into_iter().find(|case| case.name == *name);
            let mut operation = (case.expect("a case of this name").prepare)();
            counted(times, &mut *operation);
        }
        _ => panic!("count --list | count NAME TIMES"),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, rest @ ..] = arguments.as_slice()
        && first == "count"
    {
        return count(rest);
    }
    let mut criterion = Criterion::default().configure_from_args();
    for case in cases() {
        // Once, and only when it is measured: the function is called for every sample.
        let mut operation = None;
        criterion.bench_function(&case.name, |bencher| {
            bencher.iter(operation.get_or_insert_with(|| (case.prepare)()));
        });
    }
    criterion.final_summary();
}
