//! The faces an operator meets: commands where no server runs, commands in Russian, readiness, health checks.

mod offline;
mod readiness;
mod russian;
mod slow;
