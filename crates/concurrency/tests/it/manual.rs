//! The operations manual, row by row, through the pool: each test is named after the row it holds the pool to.

mod backpressure;
mod configuration;
mod life;
mod metrics;
mod shutdown;
