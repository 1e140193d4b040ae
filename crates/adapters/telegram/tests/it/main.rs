//! The adapter against a fake Bot API, and its updates as a table.

mod calls;
mod markdown;
mod receiving;
mod updates;
mod world;
