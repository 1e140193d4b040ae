//! The runtime under a real pool, with real children: good ones and hostile ones.

mod behaviour;
mod hostile;
mod soak;
mod support;
